"""What `rpp-rl train` does, in parts: arguments settled, a run prepared, trained, interrupted and gone on with."""
