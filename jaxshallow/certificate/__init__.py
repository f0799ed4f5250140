"""Is every execution equal to the formula, here, on this data? `certify.py` is the face of what is here.

bounds       arithmetic that carries a bound on its own rounding errors
reference    the notes' equations in NumPy, float64
second_order the same for second derivatives
rows         `Certificate` and its rows
differences  the reference, compared with finite differences
executions   the executions that are certified
comparison   run each of them, and compare
"""

from jaxshallow.certificate.rows import Certificate, Row

__all__ = ["Certificate", "Row"]
