"""What `rpp-rl bench` measures."""
