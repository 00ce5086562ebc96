"""The report: its title, the order of its sections, the marks of the verdicts."""

import json
import re
from html.parser import HTMLParser

import pytest
from helpers.run_folders import write_run, write_runs

from rpp_rl.experiments import compare
from rpp_rl.experiments.comparison.report import report_page, title_of


def page_of(root, **settings):
    return report_page(compare(root, **settings), {})


class Links(HTMLParser):
    """Collects the links and the identifiers of a page, in their order."""

    def __init__(self, page):
        super().__init__()
        self.links, self.names = [], []
        self.feed(page[page.index("<body>") :])

    def handle_starttag(self, tag, attrs):
        found = dict(attrs)
        self.links += [found["href"]] if tag == "a" else []
        self.names += [found["id"]] if "id" in found else []


def test_the_title_says_what_was_compared(tmp_path):
    write_runs(tmp_path, ["Ant-v5"], {"sac": 1.0}, range(1))
    assert title_of(compare(tmp_path).results) == "sac on Ant-v5: 1 seed each"
    write_runs(tmp_path, ["Ant-v5"], {"rpp_sac": 1.0, "trac": 1.0}, range(3))
    assert title_of(compare(tmp_path).results) == "rpp_sac, trac and sac on Ant-v5: 1 to 3 seeds"
    write_runs(tmp_path, ["Hopper-v5"], {"sac": 1.0}, range(3))
    assert title_of(compare(tmp_path).results) == "rpp_sac, trac and sac on Ant-v5 and Hopper-v5: 1 to 3 seeds"
    for k in range(3):
        write_runs(tmp_path, [f"Env{k}-v0"], {f"algo{k}": 1.0}, range(3))
    assert title_of(compare(tmp_path).results) == "6 algorithms on 5 environments: 1 to 3 seeds"


def test_verdicts_and_curves_are_first_and_the_method_is_last(tmp_path):
    write_runs(tmp_path, seeds=range(4))
    page = page_of(tmp_path)
    assert "<title>rpp_sac and sac on Ant-v5 and Hopper-v5: 4 seeds each</title>" in page
    sections = re.findall(r'<section id="(\w+)">', page)
    assert sections == ["overview", "environment0", "environment1", "all", "notes", "method", "origin"]
    first = page[page.index('id="environment0"') : page.index('id="environment1"')]
    parts = [first.index(part) for part in ('class="verdicts"', 'class="plot"', 'class="notes"', "<table>")]
    assert parts == sorted(parts)
    assert "interpolated linearly between its own evaluations" in " ".join(page[page.index('id="method"') :].split())


def test_one_environment_needs_no_overview(tmp_path):
    write_runs(tmp_path, ["Ant-v5"], seeds=range(10))
    page = page_of(tmp_path)
    assert re.findall(r'<section id="(\w+)">', page)[0] == "environment0"


def test_every_link_leads_to_a_part_of_the_page(tmp_path):
    write_runs(tmp_path, ["Ant-v5", "Hopper-v5", "<b>-v0"], seeds=range(3))
    found = Links(page_of(tmp_path))
    assert len(found.names) == len(set(found.names))
    assert {link.removeprefix("#") for link in found.links} <= set(found.names)
    assert {f"#{name}" for name in found.names if name.startswith("environment")} <= set(found.links)


@pytest.mark.parametrize(
    ("n", "height", "baseline", "shown"),
    [
        (6, 9000.0, "sac", ("better", "▲", "better")),
        (6, 9000.0, "rpp_sac", ("worse", "▼", "worse")),
        (6, 1000.0, "sac", ("even", "≈", "not distinguishable")),
        (3, 9000.0, "sac", ("few", "?", "too few seeds")),
    ],
)
def test_a_mark_is_a_word_a_sign_and_a_color(tmp_path, n, height, baseline, shown):
    for seed in range(n):
        write_run(tmp_path, "Ant-v5", "sac", seed, [10], [[1000.0 + seed]])
        write_run(tmp_path, "Ant-v5", "rpp_sac", seed, [10], [[height + seed]])
    page = page_of(tmp_path, baseline=baseline)
    pattern = r'<span class="mark (\w+)"><span aria-hidden="true">(.)</span> ([\w ]+)</span>'
    assert re.findall(pattern, page) == [shown]


def test_the_legend_of_every_figure_is_below_its_axes(tmp_path):
    write_runs(tmp_path, seeds=range(3))
    figures = json.loads(re.search(r'id="figures">(.*?)</script>', page_of(tmp_path))[1])
    assert len(figures) == 5
    for figure in figures.values():
        legend = figure["layout"]["legend"]
        assert (legend["yref"], legend["y"], legend["yanchor"]) == ("container", 0, "bottom")


def test_no_band_is_drawn_over_a_bold_line(tmp_path):
    write_runs(tmp_path, seeds=range(3))
    for figure in json.loads(re.search(r'id="figures">(.*?)</script>', page_of(tmp_path))[1]).values():
        bold = ["name" in trace for trace in figure["data"]]
        assert bold == sorted(bold) and any(bold)
