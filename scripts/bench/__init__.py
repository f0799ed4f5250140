"""The rows of the benchmark, who takes part in each, and how they are timed; and contestants on real tables.

Imports point only downwards: tabular_summary, tabular_runs, tabular_contestants, tabular_scores, tabular_tables;
machines, measuring, start_up, many_tables, searches, second_order, derivatives, many_networks, one_network, work,
processes, rows; and the programs that run in new processes, tables_program, search_program, stopwatch.
"""
