"""The parts of an HTML page that works offline: its style, light and dark, tables, marks and interactive figures."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any

from rpp_rl.errors import RunError

# Nothing may be loaded from anywhere: what the page shows is in it.
_POLICY = "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data: blob:"
_STYLE = """
:root { color-scheme: light dark; --paper: #fff; --raised: #f6f7f9; --ink: #1d2127; --muted: #5a636e; --line: #dfe3e8;
  --link: #0a5ca8; --shadow: rgba(20, 24, 32, .28); --better: #0f5a2b; --better-back: #ddf3e4; --worse: #8c1d18;
  --worse-back: #fbe3e0; --even: #35435a; --even-back: #e5eaf2; --few: #6a4300; --few-back: #fbeccb; }
@media (prefers-color-scheme: dark) { :root { --paper: #14171c; --raised: #1d2229; --ink: #e6e9ee; --muted: #a3adb9;
  --line: #333b46; --link: #7fb8f0; --shadow: rgba(0, 0, 0, .8); --better: #8fe3ab; --better-back: #12361f;
  --worse: #ffb0a6; --worse-back: #46191a; --even: #bccbe4; --even-back: #2a3445; --few: #ffd27d; --few-back: #43310a;
  } }
* { box-sizing: border-box; }
html { scroll-padding-top: 1rem; -webkit-text-size-adjust: 100%; }
body { font: 16px/1.55 system-ui, "Segoe UI", Roboto, "Helvetica Neue", sans-serif; margin: 0; color: var(--ink);
  background: var(--paper); overflow-wrap: break-word; }
.page { max-width: 84rem; margin: 0 auto; padding: 2.2rem 1.25rem 5rem; }
header { margin-bottom: 1.6rem; }
h1 { font-size: clamp(1.45rem, 1rem + 1.9vw, 2.1rem); line-height: 1.22; letter-spacing: -.015em; margin: 0 0 .5rem;
  overflow-wrap: anywhere; text-wrap: balance; }
h2 { font-size: 1.4rem; line-height: 1.25; margin: 0 0 .15rem; overflow-wrap: anywhere; }
h3 { font-size: 1.05rem; margin: 2.2rem 0 .4rem; }
p { margin: .5rem 0; } .lead, figcaption, .step, .hint { color: var(--muted); }
.lead { max-width: 60rem; margin: 0; } .text { max-width: 46rem; }
a { color: var(--link); text-underline-offset: .15em; }
main > section { border-top: 1px solid var(--line); padding-top: 1.6rem; margin-top: 2.6rem; }
main > section:first-child { border-top: 0; padding-top: 0; margin-top: 0; }
nav { font-size: .9rem; margin-bottom: 1.6rem; }
nav h2 { font-size: .78rem; text-transform: uppercase; letter-spacing: .07em; color: var(--muted); margin: 0 0 .4rem; }
nav ul { list-style: none; display: flex; flex-wrap: wrap; gap: .3rem 1.1rem; margin: 0; padding: 0; }
nav a { text-decoration: none; overflow-wrap: anywhere; } nav a:hover { text-decoration: underline; }
@media (min-width: 70rem) {
  .columns { display: grid; grid-template-columns: 11.5rem minmax(0, 1fr); gap: 3rem; align-items: start; }
  nav { position: sticky; top: 1.5rem; max-height: calc(100vh - 3rem); overflow-y: auto; margin: 0; }
  nav ul { display: block; } nav li { margin: .35rem 0; line-height: 1.35; }
}
.mark { display: inline-block; justify-self: start; white-space: nowrap; font-size: .82rem; font-weight: 650;
  line-height: 1.35; padding: .1rem .55rem; border-radius: 1rem; border: 1px solid currentColor; }
.mark.better { color: var(--better); background: var(--better-back); }
.mark.worse { color: var(--worse); background: var(--worse-back); }
.mark.even { color: var(--even); background: var(--even-back); }
.mark.few { color: var(--few); background: var(--few-back); }
.verdicts { list-style: none; margin: .9rem 0; padding: 0; display: grid; gap: .55rem; }
.verdicts li { display: grid; grid-template-columns: 11.5rem minmax(0, 1fr); gap: .2rem .9rem; align-items: baseline;
  background: var(--raised); border-radius: .5rem; padding: .6rem .9rem; }
.verdicts .detail { display: block; font-size: .87rem; color: var(--muted); }
@media (max-width: 44rem) {
  .verdicts li { grid-template-columns: minmax(0, 1fr); } .page { padding: 1.3rem 1rem 4rem; }
}
.notes { margin: .8rem 0; padding: .1rem 0 .1rem 1rem; border-left: 3px solid var(--few); list-style: none;
  font-size: .92rem; overflow-wrap: anywhere; } .notes li { margin: .3rem 0; }
figure { margin: 1rem 0 0; } figcaption { font-size: .87rem; max-width: 60rem; }
.plot { height: calc(26rem + .4rem * var(--names)); }
@media (max-width: 44rem) { .plot { height: calc(19rem + 1.3rem * var(--names)); } }
/* The shadows at the edges show that a table has more to either side; they are covered where it ends. */
.wide { overflow-x: auto; margin: .7rem 0; border: 1px solid var(--line); border-radius: .5rem; background:
  linear-gradient(90deg, var(--paper) 40%, transparent) left / 2.5rem 100% no-repeat local,
  linear-gradient(-90deg, var(--paper) 40%, transparent) right / 2.5rem 100% no-repeat local,
  linear-gradient(90deg, var(--shadow), transparent) left / .9rem 100% no-repeat scroll,
  linear-gradient(-90deg, var(--shadow), transparent) right / .9rem 100% no-repeat scroll; }
.wide:focus-visible { outline: 2px solid var(--link); outline-offset: 2px; }
table { border-collapse: collapse; font-size: .86rem; font-variant-numeric: tabular-nums; width: 100%; }
th, td { border-bottom: 1px solid var(--line); padding: .42rem .8rem; text-align: left; vertical-align: top; }
tbody tr:last-child td { border-bottom: 0; } th { font-weight: 600; color: var(--muted); vertical-align: bottom; }
th { min-width: 5rem; } td { white-space: nowrap; }
td.long { white-space: normal; overflow-wrap: anywhere; min-width: 15rem; max-width: 30rem; }
code { font-size: .85em; overflow-wrap: anywhere; }
details { margin: .9rem 0; } summary { cursor: pointer; font-weight: 600; }
"""
# plotly colors no page by itself: its colors are the page's, again when light turns to dark.
_DRAWING = """
const figures = JSON.parse(document.getElementById("figures").textContent);
const color = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
function paint() {
  const [ink, muted, line, paper] = ["--ink", "--muted", "--line", "--paper"].map(color);
  const axis = { gridcolor: line, zerolinecolor: line, linecolor: line, automargin: true };
  for (const [id, { data, layout }] of Object.entries(figures)) {
    const traces = data.map((t) => (t.line.color === "#000000" ? { ...t, line: { ...t.line, color: ink } } : t));
    Plotly.react(id, traces, {
      ...layout, uirevision: "same", paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)",
      font: { color: ink, family: "system-ui, sans-serif", size: 13 },
      hoverlabel: { bgcolor: paper, bordercolor: line, font: { color: ink } },
      modebar: { bgcolor: "rgba(0,0,0,0)", color: muted, activecolor: ink },
      xaxis: { ...layout.xaxis, ...axis }, yaxis: { ...layout.yaxis, ...axis },
      shapes: layout.shapes.map((shape) => ({ ...shape, line: { color: muted, width: 1, dash: "dot" } })),
    }, { responsive: true, displaylogo: false });
  }
}
paint();
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", paint);
"""
# By the word of a verdict: a class of the style, and a sign for readers who do not see its color.
_MARKS = {
    "better": ("better", "▲"),
    "worse": ("worse", "▼"),
    "not distinguishable": ("even", "≈"),
    "too few seeds": ("few", "?"),
}
_LONG = 40


def html_page(
    title: str, lead: str, contents: Mapping[str, str], body: Iterable[str], figures: Mapping[str, Mapping[str, Any]]
) -> str:
    """A page that needs nothing but itself.

    Args:
        title: of the page, as text.
        lead: the paragraph below the title, as HTML.
        contents: titles of the sections by their ``id``, as text.
        body: the sections, as HTML.
        figures: traces and layout of each figure by its ``id``, see `figure`.

    Raises:
        RunError: if plotly is not installed.
    """
    try:
        from plotly.offline import get_plotlyjs
    except ImportError as error:
        raise RunError("the report needs plotly: pip install 'rpp-rl[compare]', or add --no-report") from error
    links = "".join(f'<li><a href="#{escape(name)}">{escape(text)}</a></li>' for name, text in contents.items())
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>{_STYLE}</style>\n<script>{get_plotlyjs()}</script>\n</head>\n<body>\n"
        f'<div class="page">\n<header><h1>{escape(title)}</h1>\n<p class="lead">{lead}</p></header>\n'
        f'<div class="columns">\n<nav aria-label="Contents"><h2>Contents</h2><ul>{links}</ul></nav>\n<main>\n'
        + "\n".join(body)
        + f'\n</main>\n</div>\n</div>\n<script type="application/json" id="figures">{_script_json(figures)}</script>\n'
        + f"<script>{_DRAWING}</script>\n</body>\n</html>\n"
    )


def _script_json(value: Any) -> str:
    """JSON inside a script, which no name may end."""
    return json.dumps(value, allow_nan=False).replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def mark(word: str) -> str:
    """The word of a verdict with its sign and color."""
    name, sign = _MARKS[word]
    return f'<span class="mark {name}"><span aria-hidden="true">{sign}</span> {word}</span>'


def verdict_list(verdicts: Iterable[tuple[str, str, str]]) -> str:
    """Verdicts with their marks; of each the word, the sentence, and its figures in smaller type."""
    rows = [
        f"<li>{mark(word)}<span><strong>{escape(sentence)}</strong> "
        f'<span class="detail">{escape(detail)}</span></span></li>'
        for word, sentence, detail in verdicts
    ]
    return f'<ul class="verdicts">{"".join(rows)}</ul>' if rows else ""


def note_list(notes: Iterable[str]) -> str:
    """Notes, one below the other; nothing where there are none."""
    rows = "".join(f"<li>{escape(note)}</li>" for note in notes)
    return f'<ul class="notes">{rows}</ul>' if rows else ""


def figure(name: str, content: Mapping[str, Any], caption: str) -> str:
    """The place of a figure, high enough for a legend with a line for each curve; the caption is HTML."""
    names = sum("name" in trace for trace in content["data"])
    place = f'<div id="{name}" class="plot" style="--names: {names}"></div>'
    return f"<figure>{place}<figcaption>{caption}</figcaption></figure>"


def table(header: Sequence[str], rows: Iterable[Sequence[str]], label: str) -> str:
    """A table that scrolls in a box of its own; the cells are text.

    Args:
        header: names of the columns.
        rows: cells.
        label: the name of the table, for readers who hear it.
    """
    return html_table(
        [escape(cell) for cell in header],
        [[(_long(cell), escape(cell)) for cell in row] for row in rows],
        label,
    )


def _long(cell: str) -> str:
    return ' class="long"' if len(cell) > _LONG else ""


def html_table(header: Iterable[str], rows: Iterable[Iterable[tuple[str, str]]], label: str) -> str:
    """As `table`, of HTML; a cell is its attributes and its content."""
    head = "".join(f'<th scope="col">{cell}</th>' for cell in header)
    lines = "".join("<tr>" + "".join(f"<td{kind}>{cell}</td>" for kind, cell in row) + "</tr>\n" for row in rows)
    box = f'<div class="wide" tabindex="0" role="region" aria-label="{escape(label)}">'
    return f"{box}<table><thead><tr>{head}</tr></thead><tbody>\n{lines}</tbody></table></div>"
