"""Read YAML and refuse repeated keys, of which YAML itself takes the last."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

import yaml


class _EachKeyOnce(yaml.SafeLoader):
    """PyYAML's safe loader, which makes numbers, text, lists and mappings only."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        """Make a dictionary from a mapping.

        Raises:
            yaml.YAMLError: if a key is given twice.
        """
        seen: set[str] = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode) and key.tag != "tag:yaml.org,2002:merge":
                if key.value in seen:
                    raise yaml.constructor.ConstructorError(None, None, f"{key.value!r} is given twice", key.start_mark)
                seen.add(key.value)
        return super().construct_mapping(node, deep)


def load_yaml(text: str) -> Any:
    """Parse YAML.

    Raises:
        yaml.YAMLError: if the text is not YAML, or a mapping has a key twice.
    """
    loader = _EachKeyOnce(text)
    try:
        return loader.get_single_data()
    finally:
        loader.dispose()
