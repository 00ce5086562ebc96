import json

import pytest


def test_it_prints_rows_and_ratios(run_cli):
    done = run_cli(
        *("bench", "--env", "InvertedPendulum-v5", "--width", "16", "--batch-size", "16"),
        *("--seconds", "1", "--threads", "1", "--json"),
    )
    found = json.loads(done.stdout)
    assert found["rows"].keys() == {"sb3_sac", "mlp", "rpp_sac", "floor"}
    assert found["ratios"].keys() == {"rpp_sac/sb3_sac", "rpp_sac/mlp", "update/floor"}
    for figures in (*found["ratios"].values(), *(row["update_ms"] for row in found["rows"].values())):
        assert 0 < figures["min"] <= figures["median"] <= figures["max"]


@pytest.mark.parametrize("flag", ["--seconds", "--threads", "--batch-size", "--width"])
def test_bad_input(main, flag):
    code, _, err = main("bench", flag, "0")
    assert code == 2
    assert f"{flag} must be greater than 0" in err
