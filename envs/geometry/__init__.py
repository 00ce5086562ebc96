"""Isometries of space, and how they map the bodies of a MuJoCo model."""
