"""Run folders in the form that `rpp-rl train` writes, without training."""

import csv
import json
import zlib

import numpy as np

HYPERPARAMETERS = {"learning_rate": 3e-4, "gamma": 0.99, "batch_size": 256, "policy_kwargs": "{'net_arch': [256, 256]}"}


def rows(path):
    """The rows of a table that a comparison has written."""
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def curve(rng, steps, height):
    """Returns of ten episodes at each evaluation, rising towards a height."""
    rise = height * (1 - np.exp(-3 * np.asarray(steps) / max(steps[-1], 1)))
    level = rng.normal(1, 0.15)
    return level * rise[:, None] + rng.normal(0, 0.03 * abs(height) + 1e-6, (len(steps), 10))


def write_run(root, env, algo, seed, steps=None, returns=None, folder=None, height=1000.0, **config):
    """Write a run folder and return it."""
    steps = np.arange(1, 11) * 1000 if steps is None else np.asarray(steps)
    rng = np.random.default_rng([seed, zlib.crc32(f"{env}/{algo}".encode())])
    returns = curve(rng, steps, height) if returns is None else np.asarray(returns, dtype=float)
    path = root / env / algo / (folder or f"seed{seed}")
    path.mkdir(parents=True)
    symmetry = {"name": "sagittal", "group": "C2"}
    written = {
        **{"algo": algo, "env": env, "seed": seed, "env_kwargs": {}, "n_envs": 1, "normalize": None},
        **{"n_timesteps": int(steps[-1]), "eval_freq": 1000, "eval_episodes": returns.shape[1]},
        "hyperparameters": HYPERPARAMETERS | ({"actor_equiv_wd": 1e-6} if algo == "rpp_sac" else {}),
        **{"symmetry": symmetry, "evaluation_seed": seed + 10_000, "device": "cpu"},
        "model": {"file": "robot.xml", "compiled_sha256": "ab" * 32},
        "command": ["rpp-rl", "train", "--env", env, "--algo", algo, "--seed", str(seed)],
        **{"versions": {"rpp-rl": "0.1.0", "torch": "2.13.0"}, "cpu": "a processor", "gpu": []},
        **config,
    }
    (path / "config.json").write_text(json.dumps(written))
    lengths = np.full(returns.shape, 1000)
    np.savez(path / "evaluations.npz", timesteps=steps, results=returns, ep_lengths=lengths)
    (path / "monitor.csv").write_text('#{"t_start": 1.0}\nr,l,t\n1.0,10,5.0\n2.0,10,3600.0\n')
    audit = {"name": "sagittal", "generators": [{"name": "mirror", "verdict": "exact", "sentence": "holds"}]}
    (path / "audit.json").write_text(json.dumps(audit))
    return path


def write_runs(root, envs=("Ant-v5", "Hopper-v5"), heights=None, seeds=range(6), **settings):
    """Runs of several algorithms over seeds; `heights` says how well each does."""
    for env in envs:
        for algo, height in (heights or {"rpp_sac": 1500.0, "sac": 1000.0}).items():
            for seed in seeds:
                write_run(root, env, algo, seed, height=height, **settings)
    return root
