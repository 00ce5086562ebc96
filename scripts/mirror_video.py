"""`rpp-rl mirror-video`: film a policy from a state and from its mirror image, side by side."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from tyro.conf import Positional, arg

from rpp_rl.errors import RunError
from rpp_rl.experiments.evaluation import load
from rpp_rl.experiments.finding import find_model, run_of
from rpp_rl.experiments.options import key_values
from rpp_rl.experiments.videos.films import check_film, show_preview
from rpp_rl.experiments.videos.mirror_video import MirrorVideo, csv_text
from rpp_rl.experiments.videos.renderers import choose_renderer
from rpp_rl.files import replace_file


@dataclass(frozen=True)
class MirrorVideoArguments:
    """Film a policy from a state and from its mirror image, side by side."""

    run: Positional[Path]
    """A run folder, or a model file."""
    element: int | None = None
    """Number of the group element, 0 being the identity; None for the first generator."""
    symmetry: str | None = None
    """Name of a declared symmetry, or a YAML file; None for the agent's or the run's own."""
    out: Path | None = None
    """The video, .mp4 or .gif; a table is written beside it. None for videos/mirror.mp4 in the run folder."""
    steps: int = 200
    """Steps to film; fewer if a trajectory ends before."""
    seed: int | None = None
    """Seed of the environment's reset; None for the run's evaluation seed."""
    flip: Literal["auto", "horizontal", "none"] = "auto"
    """auto: use the mirrored camera for the second picture and flip it back; else one camera, and flip as named."""
    env: str | None = None
    """Another environment than the run's."""
    env_kwargs: tuple[str, ...] = ()
    """Arguments of the environment, as key:value, beside the run's."""
    device: str = "auto"
    """auto, cpu, cuda, ..."""
    trust: bool = False
    """Trust the files: import modules of environments that they name, and unpickle what models hold."""


def mirror_video(arguments: Annotated[MirrorVideoArguments, arg(name="")]) -> None:
    """Film a policy from a state and from its mirror image, side by side, and print how far the two part."""
    a = arguments
    if a.steps < 1:
        raise RunError(f"--steps must be at least 1, got {a.steps}")
    run = run_of(find_model(a.run))
    out = a.out or (run.path / "videos" / "mirror.mp4" if run else Path("mirror.mp4"))
    check_film(out)
    choose_renderer()
    loaded = load(a.run, a.env, key_values(a.env_kwargs, "--env-kwargs"), a.seed, a.device, a.trust)
    with MirrorVideo(loaded, a.symmetry, a.element, a.flip) as video:
        name = video.symmetry.group.element_name(video.element)
        print(f"symmetry                {video.symmetry.name} of {loaded.env_id}, element {video.element} ({name})")
        print(f"second picture          {video.titles[1]}")
        moments, preview = video.film(out, a.steps)
    table = out.with_suffix(".csv")
    replace_file(table, csv_text(moments).encode())
    print("step   |s' - g s|   |a' - g a|")
    last = len(moments) - 1
    for i in sorted({0, last} | {2**k for k in range(8) if 2**k < last}):
        print(f"{moments[i].step:4d}   {moments[i].distance:10.1e}   {moments[i].action_distance:10.1e}")
    if moments[-1].terminated:
        print(f"a trajectory ended at step {moments[-1].step}")
    print(f"video                   {out}\ndistances               {table}")
    show_preview(loaded, "videos/mirror", preview)
