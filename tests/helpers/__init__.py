"""Shared parts of the tests; on the path through pytest's `pythonpath`."""
