"""Measure the shape of the code: sizes, import circles, and what one train makes.

python -m tools.house                              # the working tree
python -m tools.house 451a2fc --train              # before and after; count what one train makes
python -m tools.house 451a2fc --seconds 1020 215   # with the seconds of `make test`, measured by hand
"""

from __future__ import annotations

import argparse
import ast
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

# The folders of the one package, with their place in it.
PLACES = {"rpp_rl": "rpp_rl", "agents": "rpp_rl/agents", "envs": "rpp_rl/envs", "scripts": "rpp_rl/scripts"}
FOLDERS = ("rpp_rl", "rpp_rl/experiments", "agents", "envs", "scripts", "tests")
# Count constructions, whichever function asks for them.
COUNTERS = """
import sys
from gymnasium.envs.mujoco.inverted_pendulum_v5 import InvertedPendulumEnv
from rpp_rl import Symmetry
from rpp_rl.scripts.main import main
made = {InvertedPendulumEnv: 0, Symmetry: 0}
for cls in made:
    def __init__(self, *args, cls=cls, original=cls.__init__, **kwargs):
        made[cls] += 1
        original(self, *args, **kwargs)
    cls.__init__ = __init__
code = main("train --env InvertedPendulum-v5 -n 120 --eval-episodes 1 -params learning_starts:50".split())
print("made", *made.values())
sys.exit(code)
"""


def imports(node: ast.AST, deferred: bool = False) -> Iterator[tuple[list[str], bool]]:
    """For each statement that imports modules of ours: their names, and whether it stands in a function."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test):
            continue
        if isinstance(child, ast.Import):
            names = [alias.name for alias in child.names]
        elif isinstance(child, ast.ImportFrom):
            names = [f"{child.module}.{alias.name}" for alias in child.names]
        else:
            yield from imports(child, deferred or isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef))
            continue
        if ours := [name for name in names if name.split(".")[0] == "rpp_rl"]:
            yield ours, deferred


def circles(trees: dict[str, ast.Module]) -> list[frozenset[str]]:
    """Groups of modules that import one another, also from within functions."""
    edges = {}
    for name, tree in trees.items():
        found = {imported for names, _ in imports(tree) for imported in names}
        # `from a.b import c` imports the module a.b.c where there is one, else a.b.
        edges[name] = {x if x in trees else x.rpartition(".")[0] for x in found} - {name}
    reach = {name: _reachable(name, edges) for name in edges}
    groups = {frozenset(b for b in reach[a] if a in reach.get(b, ())) for a in edges}
    return [group for group in groups if len(group) > 1]


def _reachable(start: str, edges: dict[str, set[str]]) -> set[str]:
    seen: set[str] = set()
    waiting = [start]
    while waiting:
        new = edges.get(waiting.pop(), set()) - seen
        seen |= new
        waiting += new
    return seen


def syntax_trees(root: Path) -> dict[str, ast.Module]:
    """The syntax trees of the package by the names of its modules."""
    trees = {}
    for path in (path for folder in PLACES for path in sorted((root / folder).rglob("*.py"))):
        folder, *rest = path.relative_to(root).with_suffix("").parts
        name = "/".join([PLACES[folder], *rest]).removesuffix("/__init__").replace("/", ".")
        trees[name] = ast.parse(path.read_text(encoding="utf-8"))
    return trees


def lines(path: Path) -> int:
    """The number of lines of a file, blank ones included."""
    return len(path.read_text(encoding="utf-8").splitlines())


def made_by_one_train(root: Path) -> str:
    """Train for 120 steps in another process; return how many environments and symmetries that constructs."""
    with tempfile.TemporaryDirectory() as scratch:
        for folder, place in PLACES.items():
            shutil.copytree(root / folder, Path(scratch) / place, dirs_exist_ok=True)
        environment = {**os.environ, "PYTHONPATH": scratch, "OMP_NUM_THREADS": "1"}
        command = [sys.executable, "-W", "ignore", "-c", COUNTERS]
        done = subprocess.run(command, cwd=scratch, env=environment, check=True, capture_output=True, text=True)
    return ", ".join(done.stdout.splitlines()[-1].split()[1:])


def measure(root: Path, train: bool) -> dict[str, str]:
    """All rows of the table for one tree."""
    files = {folder: sorted((root / folder).rglob("*.py")) for folder in FOLDERS}
    files["rpp_rl"] = [path for path in files["rpp_rl"] if path not in files["rpp_rl/experiments"]]
    rows = {f"`{f}`: files, lines": f"{len(p)}, {sum(map(lines, p))}" if p else "-" for f, p in files.items()}
    package = [path for folder, paths in files.items() if folder != "tests" for path in paths]
    rows["the package: files, lines"] = f"{len(package)}, {sum(map(lines, package))}"
    trees = syntax_trees(root)
    sizes = {
        f"{name}.{node.name}".removeprefix("rpp_rl."): (node.end_lineno or 0) - node.lineno + 1
        for name, tree in trees.items()
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }
    file, function, script = max(package, key=lines), max(sizes, key=sizes.get), max(files["scripts"], key=lines)
    median = statistics.median(map(lines, package))
    rows["file: median, longest"] = f"{median:.0f}, {lines(file)} (`{file.relative_to(root)}`)"
    rows["function: median, longest"] = f"{statistics.median(sizes.values()):.0f}, {sizes[function]} (`{function}`)"
    groups = circles(trees)
    rows["import circles, modules in them"] = f"{len(groups)}, {sum(map(len, groups))}"
    deferred = sum(inside for tree in trees.values() for _, inside in imports(tree))
    rows["imports of our own in functions"] = str(deferred)
    rows["longest script"] = f"{lines(script)} (`{script.name}`)"
    if train:
        rows["environments, symmetries made by one train"] = made_by_one_train(root)
    rows["lines of `agents/rpp_td3`"] = str(sum(map(lines, (root / "agents/rpp_td3").rglob("*.py"))) or "-")
    return rows


def main() -> None:
    """Print the table: one column for each revision, and one for the working tree."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("revisions", nargs="*", help="git revisions to compare the working tree with")
    parser.add_argument("--train", action="store_true", help="run one short train of each and count what it makes")
    parser.add_argument("--seconds", nargs="+", default=[], help="seconds of `make test`, one number for each column")
    arguments = parser.parse_args()
    columns = []
    for revision in arguments.revisions:
        with tempfile.TemporaryDirectory() as folder:
            archive = subprocess.run(["git", "archive", revision], check=True, capture_output=True).stdout
            subprocess.run(["tar", "x", "-C", folder, *PLACES, "tests"], input=archive, check=True)
            columns.append(measure(Path(folder), arguments.train))
    columns.append(measure(Path(), arguments.train))
    for column, seconds in zip(columns, arguments.seconds, strict=False):
        column["seconds of `make test`"] = seconds
    print("| |", " | ".join([*arguments.revisions, "now"]), "|")
    print("|---" * (len(columns) + 1) + "|")
    for name in dict.fromkeys(name for column in columns for name in column):
        print(f"| {name} |", " | ".join(column.get(name, "-") for column in columns), "|")


if __name__ == "__main__":
    main()
