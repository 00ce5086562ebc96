"""Runs as Python objects: configuration, training, evaluation, sweeps, comparison."""
