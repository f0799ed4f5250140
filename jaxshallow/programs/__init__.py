"""The programs: what `jaxshallow train` and `python scripts/train.py` start. `cli` picks one; each has a `main(argv)`.

They need the extra `scripts`. Nothing else in the library imports them.
"""
