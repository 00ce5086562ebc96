"""`rpp-rl mirror-video`: a policy from a state and from its mirror image side by side, the second mirrored back."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from tyro.conf import Positional, arg

from rpp_rl.errors import RunError

if TYPE_CHECKING:
    from rpp_rl.envs.geometry.world_image import WorldImage
    from rpp_rl.experiments.loading import LoadedAgent
    from rpp_rl.experiments.videos.films import Frame
    from rpp_rl.experiments.videos.pairs import Moment, Pair
    from rpp_rl.symmetry import Symmetry

_SIZE = (400, 480)
_SPARSE = 8


@dataclass(frozen=True)
class MirrorVideoArguments:
    """Film a policy from a state and from its mirror image, side by side."""

    run: Positional[Path]
    """A run folder, or a model file."""
    element: int | None = None
    """Which element of the symmetry's group, by number, 0 being the identity; its first generator if left out."""
    symmetry: str | None = None
    """Name of a declared symmetry, or a YAML file; the agent's or the run's own if left out."""
    out: Path | None = None
    """The video, .mp4 or .gif, a table beside it; videos/mirror.mp4 in the run folder if left out."""
    steps: int = 200
    """Steps to film; fewer if either trajectory ends before."""
    seed: int | None = None
    """Seed of the environment's reset; the run's own evaluation seed if left out."""
    flip: Literal["auto", "horizontal", "none"] = "auto"
    """auto: the second picture from the mirrored camera, flipped as the mirror says; else as named, by one camera."""
    env: str | None = None
    """Another environment than the run's."""
    env_kwargs: tuple[str, ...] = ()
    """Arguments of the environment, as key:value, beside the run's."""
    device: str = "auto"
    """auto, cpu, cuda, ..."""
    trust: bool = False
    """Run what files name: modules of environments are imported, and pickles in model files are unpickled."""


def mirror_video(arguments: Annotated[MirrorVideoArguments, arg(name="")]) -> None:
    """Film a policy from a state and from its mirror image, side by side, and say how far apart they come."""
    from rpp_rl.experiments.run_folder import find_model, run_of
    from rpp_rl.experiments.tensorboard_events import show_in_tensorboard
    from rpp_rl.experiments.videos.films import check_film
    from rpp_rl.experiments.videos.pairs import csv_text
    from rpp_rl.experiments.videos.renderers import choose_renderer
    from rpp_rl.files import replace_file

    if arguments.steps < 1:
        raise RunError(f"--steps must be at least 1, got {arguments.steps}")
    run = run_of(find_model(arguments.run))
    out = arguments.out or (run / "videos" / "mirror.mp4" if run else Path("mirror.mp4"))
    check_film(out)
    choose_renderer()
    moments, preview, step = _filmed(arguments, out)
    table = out.with_suffix(".csv")
    replace_file(table, csv_text(moments).encode())
    _say(moments)
    print(f"video                   {out}")
    print(f"distances               {table}")
    problem = show_in_tensorboard(run, "videos/mirror", preview, step) if run else None
    if problem:
        print(f"note: {problem}", file=sys.stderr)


def _filmed(arguments: MirrorVideoArguments, out: Path) -> tuple[list[Moment], bytes, int]:
    """What happened, a small moving picture of it, and the agent's step of training."""
    from rpp_rl.envs.geometry.world_image import world_image
    from rpp_rl.envs.simulator import Simulator
    from rpp_rl.envs.wrapper import make_plain
    from rpp_rl.experiments.loading import load
    from rpp_rl.experiments.videos.films import Film
    from rpp_rl.experiments.videos.pairs import Pair

    a = arguments
    loaded = load(a.run, a.env, a.env_kwargs, a.seed, a.device, a.trust)
    with ExitStack() as stack:
        stack.callback(loaded.env.close)
        envs = [make_plain(loaded.env_id, **loaded.env_kwargs) for _ in range(2)]
        for env in envs:
            stack.callback(env.close)
            env.reset(seed=loaded.seed)
        symmetry = symmetry_of(loaded, envs[0], a.symmetry)
        element = _element(symmetry, a.element)
        one, other = (Simulator(env) for env in envs)
        start = one.state()
        pair = Pair.of(one, other, symmetry, element)
        image = world_image(one, pair.state_map)
        name = symmetry.group.element_name(element)
        titles = ("from s", f"from {name} s{_seen_in_words(image, a.flip)}")
        _announce(loaded, symmetry, element, titles[1])
        rate = float(envs[0].metadata.get("render_fps") or 30)
        moments: list[Moment] = []
        with Film(out, rate) as film:
            for moment, frame in _frames(pair, image, loaded, start, arguments, titles):
                film.add(frame)
                moments.append(moment)
            return moments, film.preview(), int(loaded.model.num_timesteps)


def _frames(
    pair: Pair, image: WorldImage, loaded: LoadedAgent, start: Any, arguments: MirrorVideoArguments, titles: Any
) -> Iterator[tuple[Moment, Frame]]:
    from rpp_rl.experiments.videos.cameras import Camera, flipped, flips, view_of
    from rpp_rl.experiments.videos.panels import side_by_side

    view = view_of(pair.one, image)
    mirrored = arguments.flip == "auto"
    turned = flips(view, image.isometry) if mirrored else (arguments.flip == "horizontal", False)
    cameras = Camera(pair.one, view, _SIZE), Camera(pair.other, view.moved(image.isometry) if mirrored else view, _SIZE)
    try:
        for moment in pair.run(loaded.act, start, arguments.steps):
            left, right = (camera.picture() for camera in cameras)
            line = f"step {moment.step},  |s' - g s| = {moment.distance:.1e}"
            yield moment, side_by_side((left, flipped(right, *turned)), titles, line)
    finally:
        for camera in cameras:
            camera.close()


def symmetry_of(loaded: LoadedAgent, env: Any, name: str | None) -> Symmetry:
    """The symmetry that is asked for; else the agent's, that which its run was measured with, or the default.

    Raises:
        RPPError: if there is none, or it does not fit.
    """
    from rpp_rl.envs.wrapper import resolve
    from rpp_rl.experiments.run_folder import read_config

    if name is not None:
        return resolve(name, env)
    own: Symmetry | None = getattr(loaded.model.policy, "symmetry", None)
    if own is not None and own.group.order > 1:
        return own
    recorded = read_config(loaded.path).get("symmetry")
    return resolve(recorded if isinstance(recorded, dict) else None, env)


def _element(symmetry: Symmetry, number: int | None) -> int:
    order = symmetry.group.order
    if order == 1:
        raise RunError(
            f"symmetry {symmetry.name!r} has no element but the identity, so there is no mirror image; give --symmetry"
        )
    if number is None:
        return symmetry.group.words.index((0,))
    if not 0 <= number < order:
        known = ", ".join(f"{i} ({symmetry.group.element_name(i)})" for i in range(min(order, 16)))
        raise RunError(f"--element must be one of {known}, got {number}")
    return number


def _seen_in_words(image: WorldImage, flip: str) -> str:
    """How the second picture is made, for its title."""
    from rpp_rl.experiments.videos.cameras import moves_camera

    if flip != "auto":
        return ", flipped left and right" if flip == "horizontal" else ""
    return ", mirrored back" if moves_camera(image.isometry) else ""


def _announce(loaded: LoadedAgent, symmetry: Symmetry, element: int, title: str) -> None:
    group = symmetry.group
    print(
        f"symmetry                {symmetry.name} of {loaded.env_id}, element {element} ({group.element_name(element)})"
    )
    print(f"second picture          {title}")


def _say(moments: list[Moment]) -> None:
    """Some of the distances, the steps between them doubling."""
    last = len(moments) - 1
    shown = [0, *(2**k for k in range(_SPARSE) if 2**k < last), last]
    print("step   |s' - g s|   |a' - g a|")
    for i in dict.fromkeys(shown):
        print(f"{moments[i].step:4d}   {moments[i].distance:10.1e}   {moments[i].action_distance:10.1e}")
    if moments[-1].terminated:
        print(f"a trajectory ended at step {moments[-1].step}")


if __name__ == "__main__":
    from rpp_rl.scripts.main import main

    sys.exit(main(["mirror-video", *sys.argv[1:]]))
