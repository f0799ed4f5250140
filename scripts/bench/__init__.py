"""The rows of the benchmark, who takes part in each, and how they are timed.

Imports point only downwards: measuring, start_up, many_networks, one_network, work, rows.
"""

from bench import many_networks, one_network, start_up  # noqa: F401  (importing them enters their contestants in ROWS)
