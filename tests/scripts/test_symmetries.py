import json

import numpy as np
import pytest


def test_symmetries_are_printed_as_json(main):
    code, out, _ = main("symmetries", "Walker2d-v5", "--json")
    assert code == 0
    default, paper = json.loads(out)
    assert (default["name"], default["default"]) == ("sagittal", True)
    assert (paper["name"], paper["default"]) == ("rpp2021", False)
    (generator,) = default["generators"]
    x = np.arange(17.0)
    moved = np.array(generator["obs_sign"]) * x[generator["obs_perm"]]
    np.testing.assert_array_equal(moved[:8], [0, 1, 5, 6, 7, 2, 3, 4])
    assert generator["act_perm"] == [3, 4, 5, 0, 1, 2]
    offset = json.loads(main("symmetries", "Pusher-v5", "--json")[1])[0]["generators"][0]["obs_offset"]
    assert offset[15] == pytest.approx(-1.2)


def test_symmetries_are_printed_for_people(main):
    assert "sagittal (default)" in main("symmetries")[1]
    assert "-sin(joint0)" in main("symmetries", "Reacher-v5")[1]


@pytest.mark.parametrize("command", [(), ("train",), ("evaluate",), ("symmetries",)])
def test_commands_print_their_usage(main, command):
    code, out, _ = main(*command, "--help")
    assert code == 0
    assert "usage: rpp-rl" in out
