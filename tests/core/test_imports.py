"""Imports go down only: scripts -> experiments -> agents and envs -> core; and the core stays light."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from tools.house import circles, imports, syntax_trees

HEAVY = {"matplotlib", "imageio", "pandas", "rich", "tyro", "tensorboard", "stable_baselines3", "gymnasium", "mujoco"}
LAYERS = ("experiments", "scripts", "agents", "envs")
# The layers that each layer may import.
ALLOWED = {
    "core": {"core"},
    "envs": {"core", "envs"},
    "agents": {"core", "agents"},
    "experiments": {"core", "envs", "agents", "experiments"},
    "scripts": {"core", "envs", "agents", "experiments", "scripts"},
}
# Every name of the core, which imports its modules.
_CORE = "import rpp_rl; [getattr(rpp_rl, name) for name in {*rpp_rl.__all__} - {'make', 'register_symmetry'}]"
TREES = syntax_trees(Path(__file__).parents[2])


def layer(module):
    """The folder that a module belongs to; a module in none of the other four belongs to the core."""
    part = [*module.split("."), ""][1]
    return part if part in LAYERS else "core"


def modules_imported(tree):
    """The absolute names of all modules that a syntax tree imports, also inside functions."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module


@pytest.mark.parametrize(
    ("module", "forbidden"),
    [
        ("rpp_rl", HEAVY | {"torch", "scipy", "numpy"}),
        (_CORE, HEAVY | {"yaml", "rpp_rl.envs", "rpp_rl.agents", "rpp_rl.scripts", "rpp_rl.experiments"}),
        ("rpp_rl.envs", {"stable_baselines3", "matplotlib", "tyro", "rpp_rl.agents", "rpp_rl.scripts"}),
        ("rpp_rl.agents", {"mujoco", "tyro", "rpp_rl.envs", "rpp_rl.scripts"}),
        ("rpp_rl.scripts.main", HEAVY | {"torch", "numpy", "rpp_rl.agents", "rpp_rl.envs"}),
    ],
)
def test_importing_a_package_loads_nothing_forbidden(module, forbidden):
    code = module if " " in module else f"import {module}"
    code += "; import sys; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not forbidden & set(done.stdout.split())


def test_an_option_of_another_program_is_not_taken_for_that_of_python():
    """Only `python -m rpp_rl...` takes the working folder from the path, also of a program whose last word is -m."""
    code = "import sys; before = list(sys.path); import rpp_rl; sys.exit(sys.path != before)"
    for words in (["-m"], ["-m", "rpp_rl.scripts.main"]):
        assert subprocess.run([sys.executable, "-c", code, *words], check=False).returncode == 0


def test_modules_do_not_import_one_another_in_circles():
    assert circles(TREES) == []


def test_every_layer_imports_only_the_layers_below_it():
    wrong = [
        (name, imported)
        for name, tree in TREES.items()
        for names, deferred in imports(tree)
        for imported in names
        # `rpp_rl.make` and `rpp_rl.register_symmetry` import `rpp_rl.envs` when they are first used.
        if layer(imported) not in ALLOWED[layer(name)] and (name, imported, deferred) != ("rpp_rl", "rpp_rl.envs", True)
    ]
    assert wrong == []


def test_the_core_imports_numpy_scipy_and_torch_only():
    allowed = {*sys.stdlib_module_names, "rpp_rl", "numpy", "scipy", "torch"}
    wrong = [
        (name, imported)
        for name, tree in TREES.items()
        for imported in modules_imported(tree)
        if layer(name) == "core" and imported.split(".")[0] not in allowed
    ]
    # `strict_yaml` is for callers that read YAML; `import rpp_rl` does not load it.
    assert wrong == [("rpp_rl.strict_yaml", "yaml")]
