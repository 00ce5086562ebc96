"""The supervised experiments of Finzi, Benton and Wilson 2021; `rpp-rl reproduce` runs them.

`problems` makes the data and `conditions` holds the hyperparameters. `training` fits a network, `trials` runs and keeps
trials, `results` judges the paper's claims, `figures` draws them, and `experiment` does all of it.
"""
