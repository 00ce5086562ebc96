"""Commands for the developers of rpp-rl; no part of the package."""
