"""Let environments fail during a run: it ends with one sentence, the agent is saved, no process is left."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

from faults.runs import TINY, called, in_one_sentence, left_behind, started
from faults.table import Row
from rpp_rl.agents import RPPSAC

ENV = "helpers.tasks:Bicycle-v0"
PROMISE = "one sentence that names the fault, exit code 2, the agent as of that step saved"
# Faults of an environment, with a part of the message for each.
IN_PROCESS = {
    "raise": "the left wheel came off",
    "observation": "not finite in entry 3 (roll)",
    "infinite observation": "not finite in entry 3 (roll)",
    "reward": "reward that is not finite",
    "NaN reward": "reward that is not finite",
    "vector reward": "a reward that is not a number",
    "longer": "an observation of shape (5,)",
    "scalar": "an observation of shape ()",
    "words": "an observation of shape (4,) and type <U1",
    "complex": "complex",
    "nothing": "and type object",
}
IN_WORKERS = {**IN_PROCESS, "raise": "died (what it raised", "die": "exit code 7", "hang": "has not answered for 2 s"}
# An exception ends a worker of stable-baselines3, which prints its own traceback.
ENDS_THE_WORKER = ("raise", "vector reward", "longer", "scalar", "words", "complex", "nothing")


def in_this_process(algos=("rpp_sac", "sac")) -> Row:
    """Try every fault with each of these algorithms."""
    kept = 0
    for algo in algos:
        for fault, word in IN_PROCESS.items():
            kept += _trained(algo, fault, word)
    return Row("environment", "raises, NaN, infinities, shapes, types", PROMISE, len(algos) * len(IN_PROCESS), kept)


def in_workers(faults=tuple(IN_WORKERS)) -> Row:
    """Try every fault in worker processes, with two environments at once."""
    kept = 0
    for fault in faults:
        word = "died (what it raised" if fault in ENDS_THE_WORKER else IN_WORKERS[fault]
        kept += _trained("rpp_sac", fault, word, "--n-envs", 2, "--vec-env", "subproc", "--env-timeout", 2)
    return Row(
        "environment", "the same in workers; a worker dies or hangs", PROMISE + ", no process left", len(faults), kept
    )


def _trained(algo, fault, word, *more) -> bool:
    with tempfile.TemporaryDirectory() as scratch:
        arguments = ("train", "--algo", algo, "--env", ENV, "-n", 200, "--eval-episodes", 1, "--no-audit", *more)
        at = 20 if more else 40
        command = (*arguments, "--env-kwargs", f"fault:{fault}", f"at:{at}", *TINY)
        if more:
            process = started(command, scratch)
            printed, _ = process.communicate(timeout=120)
            code, lines = process.returncode, [line for line in printed.splitlines() if line.startswith("rpp-rl: ")]
            # The worker prints its own traceback; the command itself must print one sentence.
            sentence = in_one_sentence(code, "".join(lines)) and len(lines) == 1 and not left_behind(process)
        else:
            code, printed = called(command, scratch)
            sentence = in_one_sentence(code, printed)
        model = Path(scratch) / f"runs/Bicycle-v0/{algo}/seed0/model.zip"
        steps = RPPSAC.load(model, device="cpu").num_timesteps if model.exists() else 0
        good = sentence and code == 2 and word in printed and steps > 0
        if not good:
            print(f"{algo} {fault}: exit code {code}, {steps} steps saved: {printed}")
        return good


def changed_symmetry() -> Row:
    """Resume a run whose environment now declares another map under the same name: it must be refused."""
    begin = ("train", "--env", ENV, "-n", 100, "--save-freq", 40, "--eval-episodes", 1, "--no-audit", *TINY)
    with tempfile.TemporaryDirectory() as scratch:
        called(begin, scratch)
        run = Path(scratch) / "runs/Bicycle-v0/rpp_sac/seed0"
        config = json.loads((run / "config.json").read_text())
        before = {p: p.read_bytes() for p in run.rglob("*") if p.is_file()}
        changed = json.dumps({**config, "symmetry": {**config["symmetry"], "breaks": "another"}})
        (run / "config.json").write_text(changed)
        before[run / "config.json"] = changed.encode()
        code, printed = called(("train", "--resume", run, "-n", 200, "--trust"), scratch)
        same = {p: p.read_bytes() for p in run.rglob("*") if p.is_file()} == before
    good = code == 2 and "has changed since" in printed and same
    return Row(
        "environment", "its symmetry no longer matches", "refused in one sentence, nothing changed", 1, int(good)
    )
