"""A harness that makes runs fail in every way it knows, and counts what was lost: `make faults`."""
