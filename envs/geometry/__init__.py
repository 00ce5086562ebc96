"""Isometries of space, and the maps of the bodies of a MuJoCo model under them."""
