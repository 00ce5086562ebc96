"""What a command changes on disk."""

import json
import os
import zipfile
from contextlib import contextmanager


def tree(root, besides=None):
    """The content of all files below a folder but those in `besides`, by path; links by what they point to."""
    found = {}
    for parent, folders, files in os.walk(root):
        for name in (*folders, *files):
            path = os.path.join(parent, name)
            if besides is not None and os.path.commonpath([path, besides]) == str(besides):
                continue
            if os.path.islink(path):
                found[path] = ("link", os.readlink(path))
            elif os.path.isfile(path):
                with open(path, "rb") as file:
                    found[path] = file.read()
            else:
                found[path] = None
    return found


@contextmanager
def nothing_outside(folder, root):
    """Check that a block changes nothing below `root` but in `folder`."""
    before = tree(root, folder)
    yield
    after = tree(root, folder)
    assert after.keys() == before.keys()
    assert [path for path in before if before[path] != after[path]] == []


def change_document(path, change):
    """Change the JSON of a saved file; `change` gets it and may change it in place."""
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    document = json.loads(members["document.json"])
    change(document["value"])
    members["document.json"] = json.dumps(document).encode()
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)


ODD = (
    None,
    "",
    "x" * 5000,
    "../x",
    -1,
    10**30,
    1.5,
    float("inf"),
    [],
    [[]],
    {},
    {"$array": "0"},
    {"$tuple": [1]},
    True,
)


def _places(data, path=()):
    """All places in nested JSON."""
    yield path
    items = data.items() if isinstance(data, dict) else enumerate(data) if isinstance(data, list) else ()
    for key, value in items:
        yield from _places(value, (*path, key))


def mutate(data, rng):
    """Replace or remove one value somewhere; returns its place."""
    places = [place for place in _places(data) if place]
    *above, last = places[rng.integers(len(places))]
    inner = data
    for key in above:
        inner = inner[key]
    if rng.random() < 0.2:
        del inner[last]
    else:
        inner[last] = ODD[rng.integers(len(ODD))]
    return [*above, last]
