"""The programs behind `jaxshallow train` and `python scripts/train.py`. `cli` picks one; each has a `main(argv)`.

They need the extra `scripts`. Nothing else in the library imports them.
"""
