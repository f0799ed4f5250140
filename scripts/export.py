"""Starts the program export, jaxshallow/programs/export.py: `python scripts/export.py --help` says what it does."""

import sys

from jaxshallow.programs.cli import main

if __name__ == "__main__":
    sys.exit(main(["export", *sys.argv[1:]]))
