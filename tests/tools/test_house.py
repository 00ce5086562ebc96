"""The measures of the code's shape."""

import ast

from tools.house import circles, imports

CODE = {
    "rpp_rl.a": "from rpp_rl.b import x\nimport numpy",
    "rpp_rl.b": "def f():\n    from rpp_rl import a",
    "rpp_rl.c": "from rpp_rl.a import y\nif TYPE_CHECKING:\n    from rpp_rl.d import z",
    "rpp_rl.d": "from rpp_rl.c import w",
}
TREES = {name: ast.parse(code) for name, code in CODE.items()}


def test_a_circle_through_a_function_is_found_and_one_of_types_alone_is_not():
    assert circles(TREES) == [frozenset({"rpp_rl.a", "rpp_rl.b"})]


def test_deferred_imports_are_marked():
    found = {name: list(imports(tree)) for name, tree in TREES.items()}
    assert found["rpp_rl.a"] == [(["rpp_rl.b.x"], False)]
    assert found["rpp_rl.b"] == [(["rpp_rl.a"], True)]
