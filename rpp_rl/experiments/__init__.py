"""Runs as Python objects: configure, train, resume, evaluate, sweep and compare."""

from rpp_rl.experiments.comparison.compare import compare
from rpp_rl.experiments.config import RunConfig
from rpp_rl.experiments.evaluation import LoadedAgent, evaluate, load
from rpp_rl.experiments.finding import find_runs
from rpp_rl.experiments.progress import Progress, State
from rpp_rl.experiments.run import Run
from rpp_rl.experiments.run_files import Episodes, Evaluations
from rpp_rl.experiments.sweeps import Plan, sweep
from rpp_rl.experiments.training import resume, train, train_seeds

__all__ = [
    "Episodes",
    "Evaluations",
    "LoadedAgent",
    "Plan",
    "Progress",
    "Run",
    "RunConfig",
    "State",
    "compare",
    "evaluate",
    "find_runs",
    "load",
    "resume",
    "sweep",
    "train",
    "train_seeds",
]
