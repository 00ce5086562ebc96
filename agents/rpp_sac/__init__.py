"""Soft Actor-Critic with Residual Pathway Priors."""
