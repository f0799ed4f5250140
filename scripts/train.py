"""Starts the program train, jaxshallow/programs/train.py: `python scripts/train.py --help` says what it does."""

import sys

from jaxshallow.programs.cli import main

if __name__ == "__main__":
    sys.exit(main(["train", *sys.argv[1:]]))
