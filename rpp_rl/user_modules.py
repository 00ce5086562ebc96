"""Import modules that the user names, and let nothing else be imported from the working folder.

A folder of another person may hold files named after optional dependencies of our dependencies. They must not run
because a command was called there.
"""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType


def import_user_module(name: str) -> ModuleType:
    """Import a module that the user's own command or program names, also one in the working folder.

    Raises:
        ImportError: if the module is missing; its own code may raise any other error.
    """
    with working_folder_importable():
        return importlib.import_module(name)


@contextmanager
def working_folder_importable() -> Iterator[None]:
    """Let modules in the working folder be imported, after all others."""
    folder = os.getcwd()
    if folder in sys.path:
        yield
        return
    sys.path.append(folder)
    try:
        yield
    finally:
        if folder in sys.path:
            sys.path.remove(folder)
