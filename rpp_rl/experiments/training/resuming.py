"""`rpp-rl train --resume`: runs that were interrupted go on from their newest checkpoints."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import cast

from rpp_rl.agents import RPPSAC
from rpp_rl.agents.rpp_sac.many_seeds import ManySeeds
from rpp_rl.errors import RunError
from rpp_rl.experiments.progress import has_done
from rpp_rl.experiments.run_folder import CONFIG, RunFolder, read_config
from rpp_rl.experiments.training.begun import as_begun
from rpp_rl.experiments.training.going_on import go_on
from rpp_rl.experiments.training.learning import learn, learn_together
from rpp_rl.experiments.training.prepared_run import PreparedRun
from rpp_rl.experiments.training.settled import build, settle
from rpp_rl.experiments.training.stopping import stop_when_asked
from rpp_rl.scripts.train import TrainArguments, check


def resume(folders: Sequence[Path], given: TrainArguments) -> list[Path]:
    """Go on with interrupted runs, several of them together as `--seeds` trains them; returns the run folders.

    Args:
        folders: of the runs.
        given: the command line, of which the number of steps, the device, progress and verbosity count.

    Raises:
        RPPError: if there is no such run or checkpoint, another process is at it, or the runs do not fit together.
    """
    begun = [as_begun(folder, given) for folder in folders]
    for arguments in begun:
        check(arguments)
    with ExitStack() as held:
        for folder in folders:
            held.enter_context(RunFolder(folder).lock())
        stop = held.enter_context(stop_when_asked())
        if len(folders) == 1:
            prepared = _restored(folders[0], begun[0], stop)
            return [learn(prepared, _planned_steps([prepared], given), fresh=False)]
        return _resume_together(folders, begun, given, stop)


def _resume_together(
    folders: Sequence[Path], begun: Sequence[TrainArguments], given: TrainArguments, stop: Callable[[], bool]
) -> list[Path]:
    for folder, arguments in zip(folders, begun, strict=True):
        if (arguments.algo, arguments.env) != (begun[0].algo, begun[0].env) or arguments.algo == "sac":
            raise RunError(f"{folder} cannot go on together with {folders[0]}; resume one at a time")
    runs: list[PreparedRun] = []

    def restored(number: int) -> RPPSAC:
        runs.append(_restored(folders[number], begun[number], stop))
        # Every algorithm but sac is an RPPSAC.
        return cast(RPPSAC, runs[-1].model)

    together = ManySeeds(restored, range(len(folders)))
    return learn_together(runs, together, _planned_steps(runs, given), fresh=False)


def _restored(folder: Path, arguments: TrainArguments, stop: Callable[[], bool]) -> PreparedRun:
    settled = settle(arguments)
    then, now = (read_config(folder / CONFIG).get("symmetry"), settled.symmetry)
    # JSON has lists where a symmetry has tuples.
    if json.loads(json.dumps(now)) != then:
        name = now["name"] if now else "nothing"
        raise RunError(
            f"{arguments.env} declares {name!r} otherwise than when {folder} was begun, and an agent keeps the "
            "symmetry that it was built with; declare it as it was, or begin a new run"
        )
    prepared, differences = go_on(arguments, settled, build(arguments, settled), RunFolder(folder), stop)
    for line in differences:
        print(f"note: not exactly as if it had never stopped: {line}")
    return prepared


def _planned_steps(runs: Sequence[PreparedRun], given: TrainArguments) -> int:
    """Environment steps that are still to be taken by each of the runs, whose configurations get a new total.

    They are zero where a run was killed after its last step, and before its agent was evaluated.

    Raises:
        RunError: if the runs are over, or differ.
    """
    models = [prepared.model for prepared in runs]
    done = {model.num_timesteps for model in models}
    totals = {given.n_timesteps if given.n_timesteps is not None else model._total_timesteps for model in models}
    if len(done) > 1 or len(totals) > 1:
        raise RunError(f"the runs have done {sorted(done)} of {sorted(totals)} steps; resume one at a time")
    total = totals.pop()
    left = total - min(done)
    if left < 0 or (left == 0 and all(has_done(prepared.run.path, total) for prepared in runs)):
        for prepared in runs:
            prepared.evaluation_env.close()
        raise RunError(f"{runs[0].run.path} has done its {min(done)} steps; give more with -n")
    for prepared in runs:
        config = read_config(prepared.run.path / CONFIG)
        if config.get("n_timesteps") != total:
            prepared.run.write_json(CONFIG, {**config, "n_timesteps": total})
    return left
