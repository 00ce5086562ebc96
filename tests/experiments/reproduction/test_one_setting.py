"""One setting for all conditions, its sweep, and the error against the amount of planted asymmetry."""

import json
import math

import pytest
import torch

from rpp_rl.errors import RPPError
from rpp_rl.experiments.reproduction import figures
from rpp_rl.experiments.reproduction.conditions import ONE_SETTING, condition
from rpp_rl.experiments.reproduction.experiment import Experiment, planned_trials, run_experiment
from rpp_rl.experiments.reproduction.problems import draw_inertia, inertia
from rpp_rl.experiments.reproduction.results import (
    HOPES,
    Claim,
    asymmetry_table,
    errors_by_asymmetry,
    ratio_table,
    read_csv,
    sweep_errors,
    sweep_table,
    verdicts,
)
from rpp_rl.experiments.reproduction.training import TrainingSettings, build, fit
from rpp_rl.experiments.reproduction.trials import Result, Trial, prepare, read, run, with_settings
from rpp_rl.residual_priors import ResidualPrior

CONDITIONS = ("perfect", "approximate", "misspecified")


def tiny(tmp_path, experiment, **settings):
    given = {"trials": 2, "epochs": 2, "width": 12, "first_seed": 200, "plot": False, "progress": False}
    return Experiment(experiment, out=tmp_path / "out", **{**given, **settings})


def files(tmp_path):
    return {p.name: p.stat().st_mtime_ns for p in (tmp_path / "out" / "trials").iterdir()}


def built(name, condition_name):
    torch.manual_seed(0)
    return build(name, *condition("inertia", condition_name).representations(), 24, steps="equal")


def linear_maps(network):
    """The linear layers of an EMLP, each before its nonlinearity."""
    return [*(b.linear for b in network.blocks), network.head]


def count(layer):
    return sum(p.numel() for p in layer.parameters())


@pytest.mark.parametrize("name", CONDITIONS)
def test_orthogonal_coordinates_have_the_parameters_of_plain_layers_and_pathways_more(name):
    exact, orthogonal, pathways = (built(n, name) for n in ("emlp", "rpp-orthogonal", "rpp"))
    for e, o, p in zip(*map(linear_maps, (exact, orthogonal, pathways)), strict=True):
        dense = (o.in_features + 1) * o.out_features
        assert count(o) == dense
        assert count(p) == dense + count(e)


@pytest.mark.parametrize("name", CONDITIONS)
def test_both_parametrizations_have_the_same_functions(name):
    orthogonal, pathways = built("rpp-orthogonal", name), built("rpp", name)
    with torch.no_grad():
        for p in pathways.parameters():
            p.add_(0.1 * torch.randn_like(p))
        others = dict(pathways.named_parameters())
        for key, parameter in orthogonal.named_parameters():
            if not key.endswith(("equiv", "linear.weight_basic", "linear.bias_basic")) and not key.startswith("head"):
                parameter.copy_(others[key])
        for o, p in zip(linear_maps(orthogonal), linear_maps(pathways), strict=True):
            o.take(*p.merged())
        x = torch.randn(7, 20)
        torch.testing.assert_close(orthogonal(x), pathways(x), rtol=1e-3, atol=1e-4)


def test_networks_of_a_seed_see_the_same_data():
    data = []
    for network in ("emlp", "rpp", "rpp-orthogonal", "mlp"):
        trial = with_settings(Trial.one_setting("inertia", "approximate", network, 3), width=12)
        data.append(prepare(trial, torch.Generator().manual_seed(3), torch.device("cpu")).data.train)
    assert all(torch.equal(d.x, data[0].x) and torch.equal(d.y, data[0].y) for d in data)


def test_networks_of_a_seed_start_with_the_same_equivariant_part():
    def network(kind, **settings):
        torch.manual_seed(4)
        trial = with_settings(Trial.one_setting("inertia", "perfect", kind, 4), width=24, **settings)
        return prepare(trial, torch.Generator().manual_seed(4), torch.device("cpu")).network

    x = torch.randn(9, 20, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        expected = network("emlp")(x)
        for kind in ("rpp", "rpp-orthogonal"):
            # The residuals of a thousandth remain.
            assert float((network(kind)(x) - expected).norm() / expected.norm()) < 0.02
            assert float((network(kind, start="own")(x) - expected).norm() / expected.norm()) > 0.1


def test_all_conditions_share_one_setting():
    """Trials of a network differ in the condition alone; those of different networks in what only an RPP has."""
    trials = [Trial.one_setting("inertia", c, n, 5) for c in CONDITIONS for n in ("emlp", "rpp", "rpp-orthogonal")]
    for network in ("emlp", "rpp", "rpp-orthogonal"):
        mine = {with_settings(t, condition="perfect") for t in trials if t.network == network}
        assert len(mine) == 1
    setting = ONE_SETTING["inertia"]
    assert {(t.epochs, t.learning_rate, t.decay, t.steps) for t in trials} == {
        (setting.epochs, setting.learning_rate, "cosine", "equal")
    }
    assert {t.residual_budget for t in trials if t.network != "rpp-orthogonal"} == {None}
    assert {t.residual_budget for t in trials if t.network == "rpp-orthogonal"} == {setting.residual_budget}


@pytest.mark.parametrize(
    ("name", "sizes"), [("emlp", (1.0, 0.0)), ("rpp", (0.8, 0.2)), ("rpp-orthogonal", (1.0, 0.25))]
)
def test_adam_moves_the_equivariant_part_of_each_network_equally_fast(name, sizes):
    """Adam's first step moves a parameter by its rate; two pathways share one, so that their sum moves by it."""
    network = built(name, "perfect")
    data = draw_inertia(torch.Generator().manual_seed(0), count=30)
    before = {k: v.detach().clone() for k, v in network.head.named_parameters()}
    settings = TrainingSettings(1, 1e-4, batch=30, residual_step=0.25)
    fit(network, network, data, settings, lambda _: None, torch.Generator())
    moved = {k: float((v.detach() - before[k]).abs().max()) for k, v in network.head.named_parameters()}
    assert moved["weight_equiv"] == pytest.approx(sizes[0] * 1e-4, rel=1e-2)
    assert moved.get("weight_basic", 0.0) == pytest.approx(sizes[1] * 1e-4, rel=1e-2)


@pytest.mark.parametrize(("budget", "forgets"), [(1e-9, True), (1e9, False)])
def test_the_budget_holds_the_residual(budget, forgets):
    """With a budget of next to nothing a residual is as large as its last step; with a large one it keeps its start."""
    network = built("rpp-orthogonal", "perfect")
    start = float(network.head.weight_basic.detach().abs().max())
    data = draw_inertia(torch.Generator().manual_seed(0), count=30)
    settings = TrainingSettings(3, 1e-7, batch=30, residual_step=1.0, residual_prior=ResidualPrior("decay", budget))
    fit(network, network, data, settings, lambda _: None, torch.Generator())
    end = float(network.head.weight_basic.detach().abs().max())
    assert start > 1e-5
    assert (end < 2e-7) == forgets
    assert (end > start / 2) != forgets


@pytest.mark.parametrize("network", ["rpp", "rpp-orthogonal"])
def test_a_trial_is_repeatable_and_read_back(network, tmp_path):
    trial = with_settings(Trial.one_setting("inertia", "misspecified", network, 0), epochs=2, width=12)
    assert run(trial).measurements == run(trial).measurements
    run_experiment(tiny(tmp_path, "one-setting", conditions=("misspecified",), networks=(network,), trials=1))
    (path,) = (tmp_path / "out" / "trials").iterdir()
    assert read(path).trial == with_settings(trial, seed=200)


def test_recorded_trials_keep_their_names():
    """Settings that were added after the first trials were recorded are in a name only where they are given."""
    trial = Trial.published("inertia", "perfect", "rpp", 0)
    assert trial.name == "inertia-perfect-rpp-seed0-d77505c4"
    for added in (
        {"learning_rate": 1e-3},
        {"steps": "equal"},
        {"residual_budget": 0.1},
        {"asymmetry": 0.0},
        {"start": "exact"},
    ):
        assert with_settings(trial, **added).name != trial.name


def test_one_setting_runs_every_network_in_every_condition_and_resumes(tmp_path):
    text = run_experiment(tiny(tmp_path, "one-setting", trials=1))
    assert "| perfect | RPP, orthogonal is at most 1.1 times EMLP |" in text
    assert "| approximate | RPP, orthogonal is better than MLP |" in text
    assert "| misspecified | RPP is at most 1 times MLP |" in text
    assert "| ratio of errors |" in text
    rows = read_csv(tmp_path / "out" / "one-setting.csv")
    networks = ("emlp", "rpp", "rpp-orthogonal", "mlp")
    assert [(r["condition"], r["network"]) for r in rows] == [(c, n) for c in CONDITIONS for n in networks]
    assert {r["seed"] for r in rows} == {"200"}
    kept = files(tmp_path)
    assert len(kept) == 12
    next((tmp_path / "out" / "trials").glob("*-mlp-*")).unlink()
    run_experiment(tiny(tmp_path, "one-setting", trials=1))
    now = files(tmp_path)
    assert now.keys() == kept.keys()
    assert sum(now[k] != kept[k] for k in kept) == 1


def test_the_setting_sweep_gives_a_row_for_each_setting(tmp_path):
    grids = {"rate_grid": (1e-3, 3e-3), "budget_grid": (0.1, 0.3), "step_grid": (0.1,), "basic_grid": (1.0,)}
    sweep = tiny(tmp_path, "setting-sweep", conditions=("perfect", "misspecified"), trials=1, **grids)
    text = run_experiment(sweep)
    assert len(text.splitlines()) == 2 + 2 * (1 + 1 + 2 + 1)
    assert "| RPP, orthogonal | 0.001 | 0.3 | 0.1 |  |" in text
    assert "| RPP | 0.003 |  |  | 1 |" in text
    assert len(files(tmp_path)) == 20
    assert not list((tmp_path / "out").glob("*.png"))


def test_the_asymmetry_experiment_plants_each_amount(tmp_path):
    grid = (0.0, 0.1, 1.0)
    text = run_experiment(tiny(tmp_path, "asymmetry", asymmetry_grid=grid, plot=True))
    assert text.splitlines()[0] == "| asymmetry (n = 2) | EMLP | RPP, orthogonal | MLP |"
    assert [line.split(" | ")[0] for line in text.splitlines()[2:]] == ["| 0", "| 0.1", "| 1"]
    assert (tmp_path / "out" / "asymmetry.png").stat().st_size > 3000
    record = json.loads((tmp_path / "out" / "asymmetry.json").read_text())
    assert [t["asymmetry"] for t in record["trials"][:3]] == list(grid)
    kept = files(tmp_path)
    run_experiment(tiny(tmp_path, "asymmetry", asymmetry_grid=grid))
    assert files(tmp_path) == kept


@pytest.mark.parametrize("amount", [0.0, 0.1, 0.3])
def test_asymmetry_multiplies_the_last_column(amount):
    trial = with_settings(Trial.one_setting("inertia", "approximate", "mlp", 0), asymmetry=amount, width=8)
    data = prepare(trial, torch.Generator().manual_seed(0), torch.device("cpu")).data.test
    factor = torch.tensor([1.0, 1.0, 1.0 + amount]).repeat(3)
    torch.testing.assert_close(data.y, inertia(data.x) * factor)


def test_the_pendulum_has_files_of_its_own():
    stems = {
        (name, problem): Experiment(name, problem=problem).stem
        for name in ("one-setting", "setting-sweep", "inertia")
        for problem in ("inertia", "pendulum")
    }
    assert stems["one-setting", "inertia"] == "one-setting"
    assert stems["one-setting", "pendulum"] == "one-setting-pendulum"
    assert stems["setting-sweep", "pendulum"] == "setting-sweep-pendulum"
    assert stems["inertia", "pendulum"] == "inertia"
    assert {t.problem for t in planned_trials(Experiment("one-setting", problem="pendulum"))} == {"pendulum"}


def test_settings_can_be_given(tmp_path):
    given = {"learning_rate": 1e-3, "residual_budget": 0.2, "residual_step": 0.5, "decay": "none"}
    for t in planned_trials(tiny(tmp_path, "one-setting", networks=("rpp-orthogonal",), **given)):
        assert (t.learning_rate, t.residual_budget, t.residual_step, t.decay) == (1e-3, 0.2, 0.5, "none")
        assert (t.epochs, t.width) == (2, 12)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"learning_rate": -1.0}, "--learning-rate must be positive"),
        ({"rate_grid": (0.0,)}, "--rate-grid must be positive"),
        ({"budget_grid": ()}, "--budget-grid needs at least one number"),
        ({"residual_budget": 0.0}, "residual_budget must be a number > 0"),
        ({"step_grid": (-1.0,)}, "--step-grid must have numbers >= 0"),
        ({"asymmetry_grid": (math.nan,)}, "--asymmetry-grid must have numbers >= 0"),
    ],
)
def test_bad_settings_are_refused(tmp_path, settings, message):
    with pytest.raises(RPPError, match=message):
        run_experiment(tiny(tmp_path, "one-setting", **settings))


ERRORS = {
    ("perfect", "emlp"): {0: 1.0, 1: 2.0, 2: 4.0},
    ("perfect", "rpp-orthogonal"): {0: 1.0, 1: 2.2, 2: 4.4},
    ("perfect", "rpp"): {0: 2.0, 1: 4.0, 2: math.nan},
}


def test_hopes_are_judged_for_both_parametrizations():
    found = {(v.claim.rpp, v.claim.other): v for v in verdicts(ERRORS, HOPES)}
    orthogonal, pathways = found["rpp-orthogonal", "emlp"], found["rpp", "emlp"]
    assert (orthogonal.holds, orthogonal.agreeing) == (True, 3)
    assert (pathways.holds, pathways.agreeing) == (False, 0)


def test_ratios_are_of_errors_on_the_same_data():
    claim = Claim("perfect", "emlp", better=False, rpp="rpp-orthogonal", at_most=1.1)
    (line,) = ratio_table(ERRORS, [claim]).splitlines()[2:]
    # exp((0 + log 1.1 + log 1.1) / 3) = 1.066; logs have the standard deviation 0.055, and t is 4.303.
    assert line == "| perfect | RPP, orthogonal / EMLP | 1.07 | 0.93 to 1.22 | 3 |"
    # A network that diverged has no ratio.
    assert len(ratio_table(ERRORS, HOPES).splitlines()) == 2 + 1


def result(network, seed, error, **settings):
    trial = with_settings(Trial.one_setting("inertia", "approximate", network, seed), width=8, **settings)
    measured = run(with_settings(Trial.one_setting("inertia", "perfect", "mlp", 0), width=8, epochs=1)).final
    return Result(trial, 1.0, (type(measured)(1, error, error, ()),))


def test_tables_of_asymmetry_and_of_a_sweep(tmp_path):
    found = [result("mlp", s, 1.0 + s + a, asymmetry=a) for s in (0, 1, 2) for a in (0.0, 0.5)]
    errors = errors_by_asymmetry(found)
    assert asymmetry_table(errors).splitlines()[2:] == ["| 0 | 2 |", "| 0.5 | 2.5 |"]
    figures.asymmetry_lines(errors, tmp_path / "a.png")
    assert (tmp_path / "a.png").stat().st_size > 3000
    swept = [result("rpp-orthogonal", s, 1.0 + s, residual_budget=0.3) for s in (0, 1, 2)]
    assert "| 0.3 |" in sweep_table(sweep_errors(swept))
    assert sweep_table(sweep_errors(swept)).splitlines()[-1].endswith("| 2 |")
