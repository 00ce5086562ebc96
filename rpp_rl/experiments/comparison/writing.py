"""The files of a comparison: made in memory, and written only when all are made."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rpp_rl.errors import RunError
from rpp_rl.experiments.comparison import tables
from rpp_rl.experiments.comparison.figures import figures
from rpp_rl.experiments.comparison.report import report_page
from rpp_rl.experiments.comparison.symmetry_curves import symmetry_of_groups
from rpp_rl.experiments.comparison.tensorboard import EVENTS, event_files
from rpp_rl.experiments.comparison.verdicts import aggregate_sentences, verdicts, warnings_of
from rpp_rl.experiments.markdown import markdown_table
from rpp_rl.experiments.plots import need_matplotlib
from rpp_rl.files import check_folder, replace_file

if TYPE_CHECKING:
    from rpp_rl.experiments.comparison.compare import Comparison

REPORT, SUMMARY = "report.html", "summary.csv"
_FORMS = ("png", "svg")
_PICTURES = ("curves", "best_so_far", "profiles", "symmetry")
DRAWN = ("symmetry.csv", *(f"{name}.{form}" for name in _PICTURES for form in _FORMS))


def render(comparison: Comparison, report: bool, tensorboard: bool) -> dict[str, bytes]:
    """The files of a comparison by their path in its folder.

    Args:
        comparison: the comparison.
        report: whether to render the page and the figures.
        tensorboard: whether to render event files.

    Raises:
        RunError: if a library that draws is not installed.
    """
    results = comparison.results
    files = {
        SUMMARY: _csv(tables.SUMMARY, tables.summary_rows(results)),
        "curves.csv": _csv(tables.CURVES, tables.curve_rows(results)),
        "scores.csv": _csv(tables.SCORES, tables.score_rows(results)),
        "pairs.csv": _csv(tables.PAIRS, tables.pair_rows(results)),
        "summary.md": _bytes(summary_markdown(comparison)),
    }
    if report:
        need_matplotlib("figures need", "pip install 'rpp-rl[compare]', or add --no-report")
        symmetry = symmetry_of_groups(results)
        files[REPORT] = _bytes(report_page(comparison, symmetry))
        if symmetry:
            files["symmetry.csv"] = _csv(tables.SYMMETRY, tables.symmetry_rows(symmetry))
        files |= figures(results, comparison.aggregate, symmetry)
    if tensorboard:
        pictures = {Path(name).stem: content for name, content in files.items() if name.endswith(".png")}
        files |= event_files(results, pictures)
    return files


def _csv(header: Sequence[str], rows: Iterable[tables.Row]) -> bytes:
    return _bytes(tables.csv_text(header, rows))


def _bytes(text: str) -> bytes:
    # Names of folders need be no text.
    return text.encode("utf-8", "backslashreplace")


def summary_markdown(comparison: Comparison) -> str:
    """Verdicts, notes and tables in Markdown."""
    parts = []
    for result in comparison.results:
        sentences = [*(v.sentence for v in verdicts(result)), *(f"Note: {note}." for note in warnings_of(result))]
        parts.append(f"## {result.task.name}, at step {result.task.step}\n\n" + "".join(f"- {s}\n" for s in sentences))
        parts.append(markdown_table(*tables.summary_cells(result)) + "\n")
        if result.pairs:
            parts.append(markdown_table(*tables.pair_cells(result)) + "\n")
    found = comparison.aggregate
    if found is not None:
        lines = [*aggregate_sentences(found), *(f"Left out: {what}." for what in found.left_out)]
        lines.append(f"Random = 0 and reference = 1, by {comparison.normalization}.")
        parts.append(f"## Over {', '.join(found.environments)}\n\n" + "".join(f"- {s}\n" for s in lines))
        parts.append(markdown_table(*tables.aggregate_cells(found)) + "\n")
    parts.append("".join(f"- {note}\n" for note in comparison.notes) + INTERVALS)
    # A name may hold HTML or a link.
    return "\n".join(parts).replace("<", "&lt;").replace("](", "]\\(")


INTERVALS = (
    "\nNumbers in brackets are 95 % intervals: stratified bootstrap over seeds for IQM, mean, median, area and "
    "difference, Newcombe's for P(X > Y), widened to 1/2 where Mann and Whitney's test tells nothing, Kaplan and "
    "Meier's for steps.\n"
)


def write(out: Path, files: Mapping[str, bytes]) -> None:
    """Write files, each as a whole; remove what else an earlier comparison wrote.

    Raises:
        RunError: if the folder cannot be written to, or a link in it leads elsewhere.
    """
    check_folder(out, "choose another folder")
    for name in files:
        if not (out / name).parent.resolve().is_relative_to(out.resolve()):
            raise RunError(f"{(out / name).parent} leads out of {out} by a link; remove it, or choose another folder")
    is_earlier = (out / SUMMARY).is_file()
    for name, content in files.items():
        replace_file(out / name, content)
    if not is_earlier:  # the other files there are the user's own
        return
    # A report or curves of other runs beside these tables would be taken for theirs.
    written = [out / name for name in (REPORT, *DRAWN)]
    for old in (*written, *(path for path in out.rglob(EVENTS) if _is_of(out, path))):
        if old.relative_to(out).as_posix() not in files:
            old.unlink(missing_ok=True)


def _is_of(out: Path, path: Path) -> bool:
    """Whether no other comparison, in a folder below, has written a file."""
    between = path.relative_to(out).parents
    return not any((out / folder / SUMMARY).is_file() for folder in between if folder != Path())
