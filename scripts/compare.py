"""Starts the program compare, jaxshallow/programs/compare.py: `python scripts/compare.py --help` says what it does."""

import sys

from jaxshallow.programs.cli import main

if __name__ == "__main__":
    sys.exit(main(["compare", *sys.argv[1:]]))
