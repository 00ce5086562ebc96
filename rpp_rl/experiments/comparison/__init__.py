"""Comparing runs: reading them, statistics, tables, figures, report and TensorBoard."""
