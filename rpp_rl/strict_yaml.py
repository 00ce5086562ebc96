"""Read YAML that may come from anybody: numbers, text, lists and mappings, of bounded size and depth."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

import yaml

_MOST_NODES, _DEEPEST, _LONGEST, _MOST_DIGITS = 10_000, 40, 10_000, 100
_KINDS = frozenset(f"tag:yaml.org,2002:{kind}" for kind in ("null", "bool", "int", "float", "str", "seq", "map"))
_MERGE, _TIMESTAMP = "tag:yaml.org,2002:merge", "tag:yaml.org,2002:timestamp"
_NUMBERS = ("tag:yaml.org,2002:int", "tag:yaml.org,2002:float")


class _PlainLoader(yaml.SafeLoader):
    """PyYAML's safe loader without dates and sets, in which a mapping has each key once."""

    yaml_implicit_resolvers = {  # noqa: RUF012 - as PyYAML declares it
        first: [(tag, pattern) for tag, pattern in resolvers if tag != _TIMESTAMP]
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        """Make a dictionary from a mapping.

        Raises:
            yaml.YAMLError: if a key is given twice.
        """
        seen: set[str] = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode) and key.tag != _MERGE:
                if key.value in seen:
                    raise yaml.constructor.ConstructorError(None, None, f"{key.value!r} is given twice", key.start_mark)
                seen.add(key.value)
        return super().construct_mapping(node, deep)


def load_yaml(text: str) -> Any:
    """Parse YAML.

    Raises:
        yaml.YAMLError: if the text is not YAML, has more than 10 000 entries with those that aliases repeat, is nested
            more than 40 deep, has other values than numbers, text, lists and mappings, or a key twice.
    """
    loader = None
    try:
        loader = _PlainLoader(text)
        node = loader.get_single_node()
        if node is None:
            return None
        _size(node, {}, 0)
        return loader.construct_document(node)
    except (ValueError, KeyError, TypeError, OverflowError, RecursionError, AttributeError) as error:
        detail = "it is nested too deep" if isinstance(error, RecursionError) else f"{type(error).__name__}: {error}"
        raise yaml.YAMLError(detail) from error
    finally:
        if loader is not None:
            loader.dispose()


def _size(node: yaml.Node, known: dict[int, int], depth: int) -> int:
    """The number of entries below a node, counted as often as aliases repeat them."""
    if depth > _DEEPEST:
        raise _refusal(f"it is nested more than {_DEEPEST} deep, or contains itself", node)
    if id(node) in known:
        return known[id(node)]
    children: list[yaml.Node] = []
    if isinstance(node, yaml.MappingNode):
        children = [part for pair in node.value for part in pair]
    elif isinstance(node, yaml.SequenceNode):
        children = node.value
    elif len(node.value) > (_MOST_DIGITS if node.tag in _NUMBERS else _LONGEST):
        raise _refusal("it holds a value that is too long", node)
    if node.tag not in _KINDS and node.tag != _MERGE:
        raise _refusal(f"it holds a value of the kind {node.tag.rpartition(':')[2]!r}", node)
    total = 1 + sum(_size(child, known, depth + 1) for child in children)
    if total > _MOST_NODES:
        raise _refusal(f"it has more than {_MOST_NODES} entries", node)
    known[id(node)] = total
    return total


def _refusal(what: str, node: yaml.Node) -> yaml.YAMLError:
    return yaml.constructor.ConstructorError(None, None, what, node.start_mark)
