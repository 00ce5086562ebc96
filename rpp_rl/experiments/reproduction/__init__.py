"""The supervised experiments of Finzi, Benton and Wilson 2021: data, networks, training, trials and figures.

`rpp-rl reproduce` runs them. Modules: `inertia` and `pendulum` make data, `conditions` holds the hyperparameters,
`training` fits a network, `trials` runs and keeps trials, `verdicts` compares them with the paper's claims and
`figures` draws them.
"""
