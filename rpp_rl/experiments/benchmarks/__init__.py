"""Benchmarks: what `rpp-rl bench` measures, and the algebra."""
