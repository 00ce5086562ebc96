import os

import pytest
import torch
from hypothesis import settings

# A busy machine is no defect: no example is failed for the time it took.
settings.register_profile("patient", deadline=None)
settings.load_profile("patient")

_VISIBLE = os.environ.get("CUDA_VISIBLE_DEVICES")
_is_available = torch.cuda.is_available


@pytest.fixture(scope="session", autouse=True)
def no_gpu():
    """Where there is a GPU, most tests run without: on the processor numbers come bit for bit."""
    with pytest.MonkeyPatch.context() as patch:
        if _is_available():
            patch.setattr(torch.cuda, "is_available", lambda: False)
            patch.setenv("CUDA_VISIBLE_DEVICES", "")
        yield


@pytest.fixture(autouse=True)
def gpu(request, monkeypatch, no_gpu):
    """Tests that are about a GPU have it."""
    if request.node.get_closest_marker("gpu") is not None and _is_available():
        monkeypatch.setattr(torch.cuda, "is_available", _is_available)
        if _VISIBLE is None:
            monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
        else:
            monkeypatch.setenv("CUDA_VISIBLE_DEVICES", _VISIBLE)
