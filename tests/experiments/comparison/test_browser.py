"""The report and TensorBoard in a real browser: they load, the charts have their data, the console has no error."""

import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from contextlib import closing, contextmanager

import pytest
from helpers.run_folders import write_runs

from rpp_rl.experiments import compare
from rpp_rl.experiments.comparison.tensorboard import tensorboard_place

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome", "chrome"))), None)
pytestmark = [
    pytest.mark.browser,
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed"),
]
PATIENCE = 90


@pytest.fixture
def page():
    """A page, which fails the test if its console has an error."""
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    errors = []
    # A browser's own sandbox does not work for root, as whom containers run tests.
    arguments = ["--no-sandbox"] if hasattr(os, "geteuid") and os.geteuid() == 0 else []
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=arguments)
        opened = browser.new_page(viewport={"width": 1400, "height": 900})
        opened.set_default_timeout(PATIENCE * 1000)
        opened.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
        opened.on("pageerror", lambda error: errors.append(str(error)))
        yield opened
        browser.close()
    assert errors == []


@pytest.fixture
def folder(main, tmp_path):
    # More than 40 of TensorBoard's runs, of which it ticks none by itself.
    write_runs(tmp_path / "runs", seeds=range(10))
    code, _, err = main("compare", "runs")
    assert code == 0, err
    return tmp_path / "runs"


def shot(page, name, tmp_path):
    """Keep a picture for whoever wants to look: the folder is pytest's, or that of RPP_RL_SCREENSHOTS."""
    page.screenshot(path=os.path.join(os.environ.get("RPP_RL_SCREENSHOTS", tmp_path), f"{name}.png"))


def test_the_report_works_offline(page, folder, tmp_path):
    requests = []
    page.context.set_offline(True)
    page.on("request", lambda request: requests.append(request.url))
    page.goto((folder / "compare" / "report.html").as_uri())
    page.wait_for_selector("#plot0 .main-svg")
    shot(page, "report", tmp_path)
    assert [url for url in requests if not url.startswith(("file:", "data:", "blob:"))] == []
    # Two figures for each environment, and the profiles.
    assert page.locator(".plot").count() == page.locator(".plot > .plot-container").count() == 5
    bold = page.evaluate("document.getElementById('plot0').data.filter(t => t.name).map(t => [t.name, t.x.length])")
    assert bold == [["rpp_sac (IQM, n = 10)", 10], ["sac (IQM, n = 10)", 10]]
    # Seeds, two ends of a band and the bold line of each algorithm are drawn.
    assert page.locator("#plot0 .scatterlayer .trace").count() == 8
    # The plot is interactive: a click on an algorithm's name removes its curves.
    page.locator("#plot0 .legendtoggle").first.click()
    page.locator("#plot0 .scatterlayer .trace").nth(4).wait_for(state="detached")


def open_report(page, folder, width, scheme="light"):
    page.set_viewport_size({"width": width, "height": 900})
    page.emulate_media(color_scheme=scheme)
    page.goto((folder / "compare" / "report.html").as_uri())
    page.wait_for_selector("#plot0 .main-svg")


@pytest.mark.parametrize("width", [390, 1440])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_report_fits_the_screen(page, folder, tmp_path, width, scheme):
    open_report(page, folder, width, scheme)
    shot(page, f"report_{width}_{scheme}", tmp_path)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    # What is wider than the screen scrolls in its own box, with a shadow that shows it.
    boxes = page.locator(".wide").evaluate_all(
        "all => all.map(box => [box.getBoundingClientRect().right, box.scrollWidth > box.clientWidth, "
        "getComputedStyle(box).overflowX, getComputedStyle(box).backgroundImage.split('linear-gradient').length])"
    )
    assert len(boxes) >= 8
    assert all(right <= width and overflow == "auto" and layers == 5 for right, _, overflow, layers in boxes)
    assert any(scrolls for _, scrolls, _, _ in boxes) or width == 1440
    # The legend is below the axes, and no curve of the first figure is under it.
    for k in range(page.locator(".plot").count()):
        axes, legend = (page.locator(f"#plot{k} {part}").first.bounding_box() for part in (".xy", ".legend"))
        assert legend["y"] >= axes["y"] + axes["height"]
    assert page.locator("#environment0 .mark").count() == 1


def test_the_contents_lead_to_the_sections(page, folder):
    open_report(page, folder, 1440)
    links = page.locator("nav a")
    assert links.all_inner_texts() == ["Overview", "Ant-v5", "Hopper-v5", "Over 2 environments", *LAST]
    for k in range(links.count()):
        links.nth(k).click()
        target = links.nth(k).get_attribute("href")
        place = page.locator(f"section{target}").bounding_box()
        # The last sections are too short to reach the top of the window.
        assert -1 <= place["y"] <= 900, target


LAST = ("Notes", "Method", "Origin")
CONTRAST = """all => all.map(mark => {
  const light = (text) => { const [r, g, b] = text.match(/[\\d.]+/g).map(v => v / 255)
    .map(v => v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4); return 0.2126 * r + 0.7152 * g + 0.0722 * b; };
  const style = getComputedStyle(mark), both = [light(style.color), light(style.backgroundColor)].sort((a, b) => b - a);
  return (both[0] + 0.05) / (both[1] + 0.05); })"""


def test_dark_and_light_follow_the_system_also_while_the_page_is_open(page, folder):
    open_report(page, folder, 1440)
    text = "getComputedStyle(document.querySelector('#plot0 .xtick text')).fill"
    back = "getComputedStyle(document.body).backgroundColor"
    seen = []
    for scheme in ("light", "dark", "light"):
        page.emulate_media(color_scheme=scheme)
        page.wait_for_timeout(500)
        seen.append((page.evaluate(back), page.evaluate(text)))
        # Four kinds of marks are drawn here, though the runs have one verdict only.
        page.evaluate(
            "['better', 'worse', 'even', 'few'].forEach(name => { const mark = document.createElement('span');"
            "mark.className = 'mark ' + name; mark.textContent = name; document.querySelector('main').append(mark); })"
        )
        assert min(page.locator(".mark").evaluate_all(CONTRAST)) >= 4.5
    assert seen[0] == seen[2]
    assert seen[0][0] != seen[1][0] and seen[0][1] != seen[1][1]
    # What a reader has hidden stays hidden when the colors change.
    page.locator("#plot0 .legendtoggle").first.click()
    page.locator("#plot0 .scatterlayer .trace").nth(4).wait_for(state="detached")
    page.emulate_media(color_scheme="dark")
    page.wait_for_timeout(500)
    assert page.locator("#plot0 .scatterlayer .trace").count() == 4


@contextmanager
def tensorboard(folder):
    with closing(socket.socket()) as probe:
        probe.bind(("localhost", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "tensorboard.main", "--logdir", str(folder), "--port", str(port)]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    address = f"http://localhost:{port}"
    try:
        for _ in range(PATIENCE):
            try:
                with urllib.request.urlopen(f"{address}/data/runs", timeout=10) as answer:  # noqa: S310 - our own server
                    if b"compare/Hopper-v5/sac" in answer.read():
                        break
            except OSError:
                pass
            time.sleep(1)
        yield address
    finally:
        server.terminate()
        server.wait(30)


CHARTS = "tf-custom-scalar-margin-chart-card, tf-custom-scalar-multi-line-chart-card"


def curves_in(chart):
    """The number of curves that a chart of TensorBoard has drawn: of bands where it has margins, else of lines."""
    shape = "path.area" if "margin" in chart.evaluate("chart => chart.tagName.toLowerCase()") else "path.line"
    paths = chart.locator(shape).evaluate_all("all => all.map(path => path.getAttribute('d') || '')")
    # Ten points each way; an empty chart has none. Without smoothing a line is drawn twice.
    return len({path for path in paths if len(path) > 100})


def test_tensorboard_shows_the_comparison_without_a_click(page, folder, tmp_path):
    page.set_viewport_size({"width": 1440, "height": 1400})
    # Two seeds of a third algorithm have curves without an interval.
    write_runs(folder, ["Ant-v5"], {"mlp_sac": 1000.0}, seeds=range(2))
    compare(folder).write(folder / "compare", report=False)
    with tensorboard(folder) as address:
        page.goto(f"{address}/{tensorboard_place(folder / 'compare', folder)[1]}")
        charts = page.locator(CHARTS)
        charts.nth(4).wait_for()
        places = [charts.nth(k).bounding_box() for k in range(5)]
        order = sorted(range(5), key=lambda k: (places[k]["y"], places[k]["x"]))
        titles = [charts.nth(k).evaluate("chart => chart.title") for k in order]
        assert titles == [
            *("Ant-v5: IQM, 95 % interval", "Hopper-v5: IQM, 95 % interval", "Ant-v5: IQM, no interval"),
            *("Ant-v5: best so far, mean", "Hopper-v5: best so far, mean"),
        ]
        expected = [2, 2, 1, 3, 2]
        for _ in range(PATIENCE):
            found = [curves_in(charts.nth(k)) for k in order]
            if found == expected:
                break
            page.wait_for_timeout(1000)
        shot(page, "custom_scalars", tmp_path)
        assert found == expected
        assert page.locator("tf-smoothing-input, #smoothing-chooser").first.locator("input").first.input_value() == "0"


def test_tensorboard_has_a_table_of_all_runs(page, folder, tmp_path):
    with tensorboard(folder) as address:
        page.goto(f"{address}/#hparams")
        page.get_by_text("Number of matching session groups: 40").wait_for()
        page.get_by_text("actor_equiv_wd").first.wait_for()
        shot(page, "hparams", tmp_path)
