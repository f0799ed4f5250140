"""Starts the program predict, jaxshallow/programs/predict.py: `python scripts/predict.py --help` says what it does."""

import sys

from jaxshallow.programs.cli import main

if __name__ == "__main__":
    sys.exit(main(["predict", *sys.argv[1:]]))
