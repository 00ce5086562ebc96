"""The evaluations of a run while it trains: recorded, printed as a line each, and the best agent kept."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from stable_baselines3.common.callbacks import EvalCallback
from stable_baselines3.common.vec_env import VecEnv

from rpp_rl.agents.common.callbacks import SymmetryCallback
from rpp_rl.agents.common.saving.agent_files import read_agent
from rpp_rl.errors import RPPError
from rpp_rl.experiments.environments import save_statistics
from rpp_rl.experiments.run import BEST_MODEL, BEST_NORMALIZER, EVALUATIONS, Run
from rpp_rl.files import replace_file


class RunEvaluation(EvalCallback):
    """Evaluate the agent of a run every so many steps, in ``evaluations.npz``, and keep the best one.

    Args:
        env: the environments to evaluate on.
        run: the run.
        eval_freq: calls of the callback between evaluations, which are steps of parallel environments.
        episodes: episodes of an evaluation.
        verbose: 1 prints stable-baselines3's lines, 0 one line for each evaluation.
    """

    def __init__(self, env: VecEnv, run: Run, eval_freq: int, episodes: int, verbose: int) -> None:
        super().__init__(
            env,
            n_eval_episodes=episodes,
            eval_freq=eval_freq,
            log_path=str(run.path),
            callback_after_eval=SymmetryCallback(),
            verbose=verbose,
        )
        # Printed before each line where several runs learn at once.
        self.run_label = ""

    @property
    def path(self) -> Path:
        """The folder of the run."""
        return Path(str(self.log_path)).parent

    def _on_step(self) -> bool:
        before, best = len(self.evaluations_timesteps), self.best_mean_reward
        going_on = super()._on_step()
        if len(self.evaluations_timesteps) > before:
            is_best = self.best_mean_reward > best
            if is_best:
                self.model.save(self.path / BEST_MODEL)
                save_statistics(self.model, self.path / BEST_NORMALIZER)
            if not self.verbose:
                self._print_line(is_best)
        return going_on

    def _print_line(self, is_best: bool) -> None:
        returns = np.asarray(self.evaluations_results[-1], dtype=float)
        step, remark = self.evaluations_timesteps[-1], "  the best so far" if is_best else ""
        print(f"{self.run_label}step {step:>9}   return {returns.mean():9.2f} +- {returns.std():.2f}{remark}")
        sys.stdout.flush()

    def recorded(self) -> dict[str, NDArray[Any]]:
        """The evaluations so far; empty before the first.

        Raises:
            ValueError: if they are not numbers, or of unequal shapes.
        """
        parts = {
            "timesteps": np.array(self.evaluations_timesteps),
            "results": np.array(self.evaluations_results),
            "ep_lengths": np.array(self.evaluations_length),
        }
        steps, shape = len(parts["timesteps"]), parts["results"].shape
        kinds = {part.dtype.kind for part in parts.values()}
        unequal = parts["ep_lengths"].shape != shape or shape[:1] != (steps,) or len(shape) != 2
        if steps and (unequal or kinds - set("iuf")):
            raise ValueError(f"results of shape {shape} at {steps} steps")
        return parts

    def go_back(self, parts: dict[str, NDArray[Any]]) -> None:
        """Put the files of a run back to the evaluations of a checkpoint.

        Args:
            parts: what `recorded` returned then.
        """
        path = self.path / EVALUATIONS
        if parts["timesteps"].size:
            # The file of a copy that shares its content by hard links stays.
            replace_file(path, lambda file: np.savez(file, **parts))  # type: ignore[arg-type]
        else:
            path.unlink(missing_ok=True)
        best = self.path / BEST_MODEL
        if best.is_file() and not self._is_best(best, parts):
            # A later agent that the resumed run may not reach again; the best one until then is overwritten.
            best.unlink()
            (self.path / BEST_NORMALIZER).unlink(missing_ok=True)
            self.best_mean_reward = -np.inf

    def _is_best(self, path: Path, parts: dict[str, NDArray[Any]]) -> bool:
        try:
            step = read_agent(path).attributes.get("num_timesteps")
        except RPPError:
            return False
        steps = parts["timesteps"]
        return bool(steps.size) and step == int(steps[int(np.argmax(parts["results"].mean(axis=1)))])
