import dataclasses
import itertools
import json
import math

import numpy as np
import pytest
import torch

from rpp_rl import PathwayPrior, equivariance_error
from rpp_rl.errors import RunError
from rpp_rl.experiments.reproduction import figures
from rpp_rl.experiments.reproduction.conditions import NETWORKS, condition
from rpp_rl.experiments.reproduction.layer_priors import LearnedPrior
from rpp_rl.experiments.reproduction.problems import draw_inertia
from rpp_rl.experiments.reproduction.results import Claim, layer_rows, read_csv, table, verdicts, write_csv
from rpp_rl.experiments.reproduction.training import (
    TrainingSettings,
    build,
    fit,
    mean_squared_error,
    measurement,
    train_epoch,
)
from rpp_rl.experiments.reproduction.trials import (
    Trial,
    missing,
    read,
    run,
    run_all,
    with_settings,
)
from rpp_rl.priors import layer_parameters


def small(network="rpp", condition_name="perfect", **settings):
    trial = Trial.published("inertia", condition_name, network, 0)
    return with_settings(trial, **{"epochs": 3, "width": 20, **settings})


def test_networks_have_the_published_sizes():
    reps = condition("inertia", "perfect").representations()
    plain = build("mlp", *reps, 384)
    assert [tuple(m.weight.shape) for m in plain if isinstance(m, torch.nn.Linear)] == [
        (384, 20),
        (384, 384),
        (384, 384),
        (9, 384),
    ]
    for name in ("emlp", "rpp"):
        network = build(name, *reps, 384)
        assert [h.size for h in network.hidden] == [384] * 3
        assert network.rpp == (name == "rpp")


@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize("name", ["perfect", "approximate", "misspecified"])
def test_a_trial_is_repeatable_and_keeps_the_global_generator(network, name):
    trial = small(network, name)
    state = torch.get_rng_state()
    first, second = run(trial), run(trial)
    assert torch.equal(torch.get_rng_state(), state)
    assert first.measurements == second.measurements
    assert [m.epoch for m in first.measurements] == [1, 2, 3]
    assert all(math.isfinite(m.test_mse) and m.test_mse > 0 for m in first.measurements)


def test_emlp_stays_equivariant_and_a_plain_network_is_not():
    emlp, mlp = (run(small(n, epochs=2)).final.equivariance_errors for n in ("emlp", "mlp"))
    assert max(emlp) < 1e-4
    assert min(mlp) > 1e-2


def test_training_lowers_the_error():
    result = run(small(epochs=40, width=40))
    assert result.final.test_mse < 0.5 * result.measurements[0].test_mse


def test_the_loss_is_mean_squared_error_and_sums_of_squares():
    """One step of plain gradient descent, beside the gradient of the formula by hand."""
    reps = condition("inertia", "perfect").representations()
    torch.manual_seed(0)
    network = build("rpp", *reps, 12)
    data = draw_inertia(torch.Generator().manual_seed(0), count=7)
    layer = network.head
    before = {k: v.detach().clone() for k, v in network.named_parameters()}
    loss = (network(data.train.x) - data.train.y).square().sum() / (7 * 9)
    (gradient,) = torch.autograd.grad(loss, layer.weight_basic)
    settings = TrainingSettings(1, 1e-3, batch=7, prior=PathwayPrior(0.0, 100.0))
    sgd = torch.optim.SGD(network.parameters(), 1e-3)
    train_epoch(network, data.train, settings, sgd, torch.Generator(), network)
    expected = before["head.weight_basic"] - 1e-3 * (gradient + 200 * before["head.weight_basic"])
    torch.testing.assert_close(layer.weight_basic.detach(), expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(("residual_step", "ratio"), [("prior", 0.1), (1.0, 1.0), (0.0, 0.0)])
def test_adam_steps_of_the_residual_are_in_proportion_to_its_prior(residual_step, ratio):
    """Adam's first step moves every entry by its learning rate, whatever the gradient."""
    reps = condition("inertia", "perfect").representations()
    torch.manual_seed(0)
    network = build("rpp", *reps, 12)
    data = draw_inertia(torch.Generator().manual_seed(0), count=30)
    before = {k: v.detach().clone() for k, v in network.named_parameters()}
    settings = TrainingSettings(1, 1e-4, batch=30, prior=PathwayPrior(1e-2, 1.0), residual_step=residual_step)
    fit(network, network, data, settings, lambda _: None, torch.Generator())
    moved = {k: float((v.detach() - before[k]).abs().max()) for k, v in network.named_parameters()}
    assert moved["head.weight_basic"] == pytest.approx(1e-4 * ratio, rel=1e-2, abs=1e-12)
    assert moved["blocks.0.nonlinearity.weight_basic"] == pytest.approx(1e-4 * ratio, rel=1e-2, abs=1e-12)
    assert moved["head.weight_equiv"] == pytest.approx(1e-4, rel=1e-2)
    assert moved["blocks.0.bilinear.weight"] == pytest.approx(1e-4, rel=1e-2)


def test_the_learning_rate_stays_or_falls_by_half_a_cosine():
    """Of n epochs, k and n + 2 - k are symmetric about the middle, where half of it is left."""
    prior = PathwayPrior(1e-2, 1.0)
    falls = TrainingSettings(8, 3e-3, prior=prior, decay="cosine")
    plain = [falls.learning_rate_in(e) for e in range(1, 9)]
    assert plain[0] == pytest.approx(3e-3)
    assert plain[4] == pytest.approx(1.5e-3)
    assert [a + b for a, b in zip(plain[1:], plain[:0:-1], strict=True)] == pytest.approx([3e-3] * 7)
    assert all(b < a for a, b in itertools.pairwise(plain))
    assert falls.step_ratio == pytest.approx(0.1)
    stays = TrainingSettings(8, 3e-3, prior=prior)
    assert stays.learning_rate_in(8) == stays.learning_rate_in(1) == 3e-3


def test_every_example_is_seen_once_in_an_epoch():
    data = draw_inertia(torch.Generator().manual_seed(0), count=11)
    seen = []

    def predict(x):
        seen.append(x)
        return weight * x[:, :9]

    weight = torch.nn.Parameter(torch.ones(()))
    module = torch.nn.ParameterList([weight])
    train_epoch(
        predict,
        data.train,
        TrainingSettings(1, 1e-3, batch=4),
        torch.optim.SGD([weight], 0.0),
        torch.Generator(),
        module,
    )
    assert [len(x) for x in seen] == [4, 4, 3]
    found = torch.cat(seen)
    assert torch.equal(found[found[:, 0].argsort()], data.train.x[data.train.x[:, 0].argsort()])


def test_a_measurement_has_the_errors_of_the_network():
    c = condition("inertia", "perfect")
    reps = c.representations()
    data = draw_inertia(torch.Generator().manual_seed(0), count=1200)
    network = build("mlp", *reps, 8)
    found = measurement(5, network, network, data, reps)
    assert found.test_mse == pytest.approx(
        float((network(data.test.x) - data.test.y).square().mean().detach()), rel=1e-5
    )
    assert found.test_mse == mean_squared_error(network, data.test) != found.validation_mse
    elements = reps[0].group.sample(np.random.default_rng(0), 10)
    expected = equivariance_error(network, data.test.x[:100], *reps, elements)
    assert found.equivariance_errors == tuple(expected.tolist())


def test_training_stops_where_the_loss_is_nan():
    data = draw_inertia(torch.Generator().manual_seed(0), count=5)
    broken = torch.nn.Parameter(torch.tensor(math.nan))
    module = torch.nn.ParameterList([broken])
    measured = []
    fit(
        module,
        lambda x: broken * x[:, :9],
        data,
        TrainingSettings(100, 1e-3),
        measured.append,
        torch.Generator(),
    )
    assert measured == [1]


def test_trials_are_kept_and_not_run_again(tmp_path):
    trials = [small("mlp"), small("mlp", seed=1)]
    assert missing(trials, tmp_path) == trials
    seen = []
    first = run_all(trials[:1], tmp_path, on_epoch=seen.append)
    assert seen == [trials[0]] * 3
    assert missing(trials, tmp_path) == trials[1:]
    both = run_all(trials, tmp_path, on_epoch=seen.append)
    assert seen == [trials[0]] * 3 + [trials[1]] * 3
    assert both[0] == first[0]
    assert both[0].trial == trials[0]
    assert len(list(tmp_path.iterdir())) == 2


def test_the_name_depends_on_every_setting():
    trial = small()
    for field in dataclasses.fields(Trial):
        assert dataclasses.replace(trial, **{field.name: 7}).name != trial.name


@pytest.mark.parametrize("content", ["", "{}", '{"trial": {}, "seconds": 1, "measurements": []}', "[]"])
def test_an_unreadable_result_is_reported(tmp_path, content):
    path = tmp_path / "x.json"
    path.write_text(content)
    with pytest.raises(RunError, match=r"cannot read the result of a trial in .*x\.json .*; delete it"):
        read(path)


def test_an_interrupted_write_leaves_nothing_that_looks_finished(tmp_path, monkeypatch):
    def fail(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("os.fsync", fail)
    with pytest.raises(KeyboardInterrupt):
        run_all([small("mlp")], tmp_path)
    assert not list(tmp_path.glob("inertia*"))


def test_csv_files_are_read_back(tmp_path):
    write_csv(tmp_path / "a.csv", [{"a": 1, "b": "x,y"}, {"a": 2.5, "b": ""}])
    assert read_csv(tmp_path / "a.csv") == [{"a": "1", "b": "x,y"}, {"a": "2.5", "b": ""}]


ERRORS = {
    ("perfect", "emlp"): {0: 1.0, 1: 1.0, 2: 1.0},
    ("perfect", "rpp"): {0: 1.2, 1: 1.2, 2: 9.0},
    ("perfect", "mlp"): {0: 5.0, 1: 5.0, 2: 1.0},
    ("misspecified", "rpp"): {0: 4.0, 1: math.nan, 2: math.nan},
    ("misspecified", "mlp"): {0: 1.0, 1: 1.0, 2: 1.0},
}


def test_verdicts_compare_medians_and_count_seeds():
    found = verdicts(ERRORS)
    assert [(v.claim.condition, v.claim.other, v.holds, v.agreeing, v.trials) for v in found] == [
        ("perfect", "emlp", True, 2, 3),
        ("perfect", "mlp", True, 2, 3),
        ("misspecified", "mlp", False, 0, 3),
    ]
    assert found[2].rpp == math.inf
    text = table(ERRORS)
    assert "| perfect | RPP is as good as EMLP | 1.2 and 1 | holds | 2 of 3 |" in text
    assert "**does not hold** | 0 of 3 |" in text


def test_claims_hold_at_their_limits():
    better, as_good = Claim("perfect", "mlp", True), Claim("perfect", "mlp", False)
    assert [better.holds(a, 1.0) for a in (0.9, 1.0, 1.4)] == [True, False, False]
    assert [as_good.holds(a, 1.0) for a in (0.9, 1.5, 1.6)] == [True, True, False]
    assert not better.holds(math.inf, math.inf)


def test_figures_are_drawn(tmp_path):
    figures.box_plots(ERRORS, tmp_path / "box.png")
    figures.densities({"perfect": {1: [1e-3, 1e-2], 2: [1e-3, 1e-3], 9: [1e-5, 0.0, 2e-5]}}, tmp_path / "density.png")
    grid = {(1e-3, 1.0): 0.1, (1e-3, 10.0): 0.2, (1e-2, 1.0): 3.0}
    figures.heat_maps({"perfect": grid, "approximate": grid}, tmp_path / "heat.png")
    assert all((tmp_path / f"{name}.png").stat().st_size > 3000 for name in ("box", "density", "heat"))


@pytest.mark.slow
def test_a_prior_is_learned_during_training(tmp_path):
    trial = small(epochs=12, prior="learned", equiv_wd=1e-3, basic_wd=1e-3)
    (result,) = run_all([trial], tmp_path)
    assert {row["epoch"] for row in result.priors} == {2, 4, 6, 8, 10}
    assert {row["pathway"] for row in result.priors} == {"equiv", "basic"}
    assert {"blocks.0.linear", "blocks.2.nonlinearity", "head"} <= {row["layer"] for row in result.priors}
    assert read(tmp_path / f"{trial.name}.json") == result


def test_a_learned_prior_starts_at_the_given_strengths():
    c = condition("inertia", "perfect")
    torch.manual_seed(0)
    network = build("rpp", *c.representations(), 12)
    data = draw_inertia(torch.Generator().manual_seed(0), count=200)
    start = PathwayPrior(0.3, 2.0)
    prior = LearnedPrior(network, start, data.train, epochs=12)
    expected = start.penalty(network)
    assert prior.penalty(network).keys() == expected.keys()
    for pathway, value in prior.penalty(network).items():
        torch.testing.assert_close(value, expected[pathway])
    prior.after_epoch(network, 1, torch.Generator())
    assert not prior.history
    prior.after_epoch(network, 2, torch.Generator())
    stds = {pathway: std for (_, pathway), std in prior.prior.stds.items()}
    assert prior.step_ratio == pytest.approx(min(1.0, stds["basic"] / stds["equiv"]))
    # wd_k = sigma^2 / (N d s_k^2), term by term.
    strengths = {k: prior.noise**2 / (200 * 9 * std**2) for k, std in prior.prior.stds.items() if k[1] != "plain"}
    by_hand = {
        pathway: sum(
            wd * float(sum(p.square().sum() for p in layer_parameters(network)[k]).detach())
            for k, wd in strengths.items()
            if k[1] == pathway
        )
        for pathway in ("equiv", "basic")
    }
    assert {k: float(v.detach()) for k, v in prior.penalty(network).items()} == pytest.approx(by_hand, rel=1e-4)


def test_results_are_plain_json(tmp_path):
    (result,) = run_all([small("mlp")], tmp_path)
    content = json.loads((tmp_path / f"{result.trial.name}.json").read_text())
    assert content["trial"] == dataclasses.asdict(result.trial)
    assert read(tmp_path / f"{result.trial.name}.json") == result


def test_layers_of_a_trained_rpp_are_measured(tmp_path):
    rpp, mlp = run_all([small("rpp", epochs=2), small("mlp", epochs=2)], tmp_path)
    assert mlp.layers == ()
    names = [row["layer"] for row in rpp.layers]
    assert names[:2] == ["blocks.0.linear", "blocks.0.nonlinearity"]
    assert names[-1] == "head"
    by_name = {row["layer"]: row for row in rpp.layers}
    assert 0 < by_name["head"]["residual_share"] < 0.1
    assert by_name["blocks.0.nonlinearity"]["residual_share"] is None
    total = sum(v or 0.0 for row in rpp.layers for k, v in row.items() if k.endswith("_effective"))
    assert 0 < total < rpp.layers[0]["outputs"] == 128
    # s^2 = sigma^2 / (N d wd), so that the ratio of the deviations is that of the roots of the strengths.
    assert by_name["head"]["equiv_std"] / by_name["head"]["basic_std"] == pytest.approx(10**2.5)
    assert layer_rows([rpp, mlp])[0]["condition"] == "perfect"
    assert read(tmp_path / f"{rpp.trial.name}.json") == rpp
