"""Many runs: what is to be run, how far each run is, and what runs them, here or on the machines of a cluster."""
