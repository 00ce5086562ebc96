"""Files of agents, policies, statistics and transitions that run nothing when they are read."""
