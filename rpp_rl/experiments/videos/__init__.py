"""Videos of agents: which renderer works, where the camera stands, files that are written frame by frame."""
