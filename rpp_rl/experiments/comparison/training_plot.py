"""The picture of one run's symmetry over its training, as `rpp-rl evaluate --plot` draws it."""

from __future__ import annotations

import io
import sys
from pathlib import Path

from rpp_rl.errors import RunError
from rpp_rl.experiments.comparison.event_scalars import EventScalars
from rpp_rl.experiments.comparison.symmetry_curves import logged_in, symmetry_curves
from rpp_rl.experiments.comparison.symmetry_figure import symmetry_figure
from rpp_rl.experiments.finding import record_of, run_of
from rpp_rl.experiments.plots import save_figure
from rpp_rl.experiments.tensorboard_events import show_in_tensorboard


def plot_training(model: Path, path: Path) -> None:
    """Draw residual shares and equivariance errors over the training of a run, and show them in TensorBoard too.

    Args:
        model: the run's model file.
        path: of the picture.

    Raises:
        RunError: if the model is in no run folder, the run has logged nothing of the kind, or the picture cannot be
            written.
    """
    from matplotlib import rc_context

    run = run_of(model)
    curves = symmetry_curves([logged_in(run.path, EventScalars())]) if run is not None else None
    if run is None or curves is None:
        raise RunError(
            f"there are no curves of its symmetry beside {model}, so --plot has nothing to draw; rpp-rl train logs "
            "them in the run's event files at every evaluation"
        )
    config = record_of(model)
    title = f"{config.get('env', 'run')}, {config.get('algo', '')}, seed {config.get('seed', '')}"
    content = io.BytesIO()
    with rc_context({"text.parse_math": False}):
        figure = symmetry_figure({title: curves})
        save_figure(figure, path)
        figure.savefig(content, format="png")
    last = max(int(c.steps[-1]) for c in (*curves.shares.values(), *curves.errors.values()))
    problem = show_in_tensorboard(run.path, "figures/symmetry", content.getvalue(), last)
    if problem:
        print(f"note: {problem}", file=sys.stderr)
