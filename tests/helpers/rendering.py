"""Skip tests that render where a renderer is missing."""

import functools

import pytest

from rpp_rl.experiments.videos.renderers import candidates, failure_of


@functools.cache
def renderer_failure(name):
    """Why a renderer does not work here; None if it works. An empty name stands for any renderer."""
    failures = {n: failure_of(n) for n in ([name] if name else candidates({}, "linux"))}
    return None if None in failures.values() else str(failures)


def needs_renderer(name=""):
    """Skip the running test unless a renderer works."""
    failure = renderer_failure(name)
    if failure:
        pytest.skip(f"renderer {name or 'egl or osmesa'} does not work here: {failure}")
