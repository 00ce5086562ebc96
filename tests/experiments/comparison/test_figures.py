"""Figures by matplotlib: what covers what."""

import pytest
from helpers.run_folders import HYPERPARAMETERS, write_runs
from matplotlib.backends.backend_agg import FigureCanvasAgg

from rpp_rl.experiments import compare
from rpp_rl.experiments.comparison import figures
from rpp_rl.experiments.comparison.symmetry_curves import symmetry_curves


def boxes(figure):
    """For each panel the places of its axes, of its axis' name and of its legend, in pixels."""
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    renderer = canvas.get_renderer()
    return [
        tuple(part.get_window_extent(renderer) for part in (axes, axes.xaxis.label, axes.get_legend()))
        for axes in figure.axes
        if axes.get_legend() is not None
    ]


def assert_legends_are_below(figure, panels):
    found = boxes(figure)
    assert len(found) == panels
    for axes, name, legend in found:
        assert legend.y1 <= name.y0 <= axes.y0
        assert legend.x0 >= 0 and legend.y0 >= -1
        assert legend.x1 <= figure.bbox.width
        assert not any(legend.overlaps(other) for other, _, _ in found)
        assert sum(legend.overlaps(other) for _, _, other in found) == 1


@pytest.mark.parametrize("environments", [1, 4])
@pytest.mark.parametrize("algorithms", [1, 7])
def test_legends_of_curves_are_below_their_axes(tmp_path, environments, algorithms):
    envs = [f"Env{k}-v0" for k in range(environments)]
    write_runs(tmp_path, envs, {f"algorithm{k}": 1.0 for k in range(algorithms)}, range(1))
    results = compare(tmp_path).results
    palette = figures.colors(results)
    for draw in (figures._curves, figures._best_so_far):
        assert_legends_are_below(figures._panels(results, palette, draw), environments)


def test_the_legend_of_an_algorithm_with_a_long_name_is_below_its_axes(tmp_path):
    other = {**HYPERPARAMETERS, **{f"setting_with_a_long_name_{k}": "value" for k in range(6)}}
    write_runs(tmp_path, ["Ant-v5", "Hopper-v5"], {"sac": 1.0}, range(3))
    write_runs(tmp_path / "other", ["Ant-v5", "Hopper-v5"], {"sac": 1.0}, range(3), hyperparameters=other)
    found = compare(tmp_path)
    palette = figures.colors(found.results)
    assert_legends_are_below(figures._panels(found.results, palette, figures._curves), 2)
    assert_legends_are_below(figures._profiles(found.aggregate, palette), 1)


@pytest.mark.parametrize("layer", ["mu", "latent_pi/0", "x" * 80])
def test_legends_of_the_symmetry_are_below_their_axes(layer):
    logged = {f"actor/{k}{layer}/residual_share": {1: 0.5, 2: 0.6} for k in range(11)}
    errors = {"actor_equivariance_error": {1: 0.1, 2: 0.2}, "critic_invariance_error": {1: 0.1, 2: 0.2}}
    curves = symmetry_curves([logged | errors] * 2)
    assert_legends_are_below(figures.symmetry_figure({"Ant-v5, rpp_sac": curves, "Hopper-v5, rpp_sac": curves}), 4)
