"""Pictures: refused before anything is computed, the same file for the same numbers, nothing lost where one fails."""

import sys
from pathlib import Path

import pytest

from rpp_rl.errors import RunError
from rpp_rl.experiments.plots import check_plot, new_figure, save_figure


def drawn():
    figure = new_figure(2, 1)
    figure.add_subplot().plot([0, 1], [1, 0])
    return figure


@pytest.mark.parametrize(("ending", "start"), [("png", b"\x89PNG"), ("SVG", b"<?xml"), ("pdf", b"%PDF")])
def test_the_ending_is_the_kind_and_the_same_numbers_give_the_same_file(tmp_path, ending, start):
    a, b = (tmp_path / f"{name}.{ending}" for name in "ab")
    for path in (a, b):
        check_plot(path)
        save_figure(drawn(), path)
    assert a.read_bytes().startswith(start)
    assert a.read_bytes() == b.read_bytes()


def test_what_was_there_stays_where_a_picture_cannot_be_written(tmp_path, monkeypatch):
    path = tmp_path / "a.png"
    path.write_bytes(b"an earlier picture")

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(RunError, match=r"cannot be written to .*: No space left on device"):
        save_figure(drawn(), path)
    assert [p.read_bytes() for p in tmp_path.iterdir()] == [b"an earlier picture"]


def test_bad_paths(tmp_path, monkeypatch):
    check_plot(None)
    with pytest.raises(RunError, match=r"ends in \.png, \.svg, \.pdf, got 'a\.jpeg'"):
        check_plot(Path("a.jpeg"))
    with pytest.raises(RunError, match=r"there is no folder .*nowhere for the picture; make it first"):
        check_plot(tmp_path / "nowhere" / "a.png")
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(RunError, match=r"--plot needs matplotlib: pip install 'rpp-rl\[plot\]'"):
        check_plot(tmp_path / "a.png")
