"""Starts the program sweep, jaxshallow/programs/sweep.py: `python scripts/sweep.py --help` says what it does."""

import sys

from jaxshallow.programs.cli import main

if __name__ == "__main__":
    sys.exit(main(["sweep", *sys.argv[1:]]))
