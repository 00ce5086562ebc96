"""Many runs on one machine: what is to be run, how far each run is, and the processes that run them."""
