"""Is every execution equal to the formula, here, on this data? `certify.py` asks; the parts of the answer are here."""

from jaxshallow.certificate.rows import Certificate, Row

__all__ = ["Certificate", "Row"]
