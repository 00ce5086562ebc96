"""Make runs fail in many ways and count what was lost; `make faults` runs all of it."""
