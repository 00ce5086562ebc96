"""YAML as people mean it: a key that is given twice is an error, where YAML itself would take the last one."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

import yaml


class _EachKeyOnce(yaml.SafeLoader):
    """The safe loader, which makes numbers, words, lists and mappings only."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        """A mapping.

        Raises:
            yaml.YAMLError: if it gives a key twice.
        """
        seen: set[str] = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode) and key.tag != "tag:yaml.org,2002:merge":
                if key.value in seen:
                    raise yaml.constructor.ConstructorError(None, None, f"{key.value!r} is given twice", key.start_mark)
                seen.add(key.value)
        return super().construct_mapping(node, deep)


def load_yaml(text: str) -> Any:
    """What a text in YAML says.

    Raises:
        yaml.YAMLError: if it is none, or a mapping gives a key twice.
    """
    loader = _EachKeyOnce(text)
    try:
        return loader.get_single_data()
    finally:
        loader.dispose()
