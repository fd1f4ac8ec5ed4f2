"""The report as a person meets it: in a browser, at a desk and on a phone, in light and in dark."""

import csv
import io
import json
import re
import shutil

import pytest

from engines import run

playwright = pytest.importorskip("playwright.sync_api", reason="no playwright; pip install playwright")
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium; apt-get install chromium")

DESK, PHONE = {"width": 1280, "height": 900}, {"width": 390, "height": 844}
WINDOWS = [(size, mode) for size in (DESK, PHONE) for mode in ("light", "dark")]


@pytest.fixture(scope="module")
def browser():
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def open_page(browser, made):
    """Opens the report of the micro suite; what it complains of, and what it asks the network for, fails the test."""
    problems, contexts = [], []

    def opened(size: dict = DESK, mode: str = "light"):
        contexts.append(browser.new_context(viewport=size, color_scheme=mode, accept_downloads=True))
        page = contexts[-1].new_page()
        page.on("console", lambda message: problems.append(message.text))
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.on("request", lambda request: request.url.startswith(("file:", "data:")) or problems.append(request.url))
        page.goto((made[0] / "results/report/index.html").as_uri())
        page.wait_for_function("[...document.querySelectorAll('.chart')].every(place => place.querySelector('svg'))")
        page.wait_for_selector("#table-quality .dt-column-title")
        return page

    yield opened
    for context in contexts:
        context.close()
    assert problems == []


@pytest.mark.parametrize(("size", "mode"), WINDOWS)
def test_nothing_is_wider_than_the_window(open_page, size, mode):
    page = open_page(size, mode)
    assert page.evaluate("document.documentElement.scrollWidth") <= size["width"]
    wide = """() => [...document.querySelectorAll("body *")].filter(e => !e.closest(".scroll, [popover]")
      && e.getBoundingClientRect().right > innerWidth + 1).map(e => e.outerHTML.slice(0, 80))"""
    assert page.evaluate(wide) == []


@pytest.mark.parametrize("mode", ["light", "dark"])
def test_words_stand_out_from_the_page(open_page, mode):
    page = open_page(DESK, mode)
    ink = "const c = e => getComputedStyle(document.querySelector(e));"
    paper, text, axis = page.evaluate(
        f"() => {{{ink} return [c('body').backgroundColor, c('body').color, c('.chart svg text').fill]}}"
    )

    def light(colour):
        return sum(map(float, re.findall(r"[\d.]+", colour)[:3])) / 3

    assert (light(paper) > 200) == (mode == "light")
    assert abs(light(paper) - light(text)) > 150 and abs(light(paper) - light(axis)) > 150


def test_a_phone_shows_the_distance_at_once(open_page):
    page = open_page(PHONE)
    box = page.locator("#table-quality td a").first.bounding_box()
    assert box["x"] + box["width"] <= PHONE["width"] and box["y"] + box["height"] <= PHONE["height"]
    assert not page.locator("#table-quality th", has_text="recall").is_visible()
    page.locator("#table-quality .more input").check()
    assert page.locator("#table-quality th", has_text="recall").is_visible()


def test_a_table_is_sorted_by_a_press_with_words_last(open_page):
    page = open_page()
    column = page.locator("#table-quality thead th").all_inner_texts().index("NFE")
    fields = page.locator(f"#table-quality tbody td:nth-child({column + 1})")
    before = fields.all_inner_texts()
    page.locator("#table-quality thead th").nth(column).click()
    page.locator("#table-quality thead th[aria-sort=ascending]").wait_for()  # the script sorts when it finds time
    assert fields.all_inner_texts() == sorted(before, key=lambda text: float(text) if text != "n/a" else 1e9) != before


def test_a_number_leads_to_the_job_that_made_it_and_that_to_the_one_before(open_page, made):
    page = open_page()
    record = json.loads((made[0] / "results/records/evaluate/micro-dct-dpm.json").read_text())
    value = json.loads((made[0] / "results/evaluations/cells/micro-dct-dpm.json").read_text())["value"]
    link = page.locator('#table-quality a[href="#made-evaluate-micro-dct-dpm"]').first
    assert link.inner_text() == f"{value:.2f}"
    link.click()
    told = page.locator("dl:target")
    told.wait_for(state="visible")
    for known in (record["command"], record["date"], "results/evaluations/cells/micro-dct-dpm.json"):
        assert known in told.inner_text()
    told.locator("a", has_text="results/samples/micro-dct-dpm.zip").click()
    page.wait_for_function("location.hash == '#made-sample-micro-dct-dpm'")
    assert told.is_visible() and "nfe 3" in told.inner_text()


def test_a_command_that_is_told_makes_the_same_again(made, tmp_path):
    folder = tmp_path / "copy"
    shutil.copytree(made[0], folder, symlinks=True)
    file = folder / "results/evaluations/cells/micro-dct-dpm.json"
    before = file.read_bytes()
    file.unlink()
    run(folder, *json.loads((folder / "results/records/evaluate/micro-dct-dpm.json").read_text())["command"].split())
    assert file.read_bytes() == before


def test_every_link_leads_somewhere(open_page):
    dead = """() => [...document.querySelectorAll("a[href^='#']")].map(a => a.getAttribute("href").slice(1))
      .filter(id => !document.getElementById(id))"""
    assert open_page().evaluate(dead) == []


def test_the_file_beside_a_table_is_the_table(open_page, made):
    page = open_page()
    with page.expect_download() as download:
        page.locator("#table-quality a[download]").click()
    rows = (made[0] / "results/tables/quality.csv").read_text()
    assert list(csv.reader(io.StringIO(download.value.path().read_text()))) == list(csv.reader(io.StringIO(rows)))
    assert download.value.suggested_filename == "quality.csv"


def test_a_picture_grows_when_it_is_pressed(open_page):
    page = open_page()
    sample = page.locator(".compared button").first
    small = sample.bounding_box()["width"]
    sample.click()
    large = page.locator("[popover]:popover-open")
    assert large.bounding_box()["width"] > 3 * small
    page.keyboard.press("Escape")
    assert large.count() == 0


def test_a_point_tells_its_value_and_leads_to_its_job(open_page, made):
    page = open_page()
    point = page.locator('[data-chart="distance-micro32"] .mark-symbol path').first
    point.scroll_into_view_if_needed()
    point.hover()
    value = json.loads((made[0] / "results/evaluations/cells/micro-dct-dpm.json").read_text())["value"]
    page.locator("#vg-tooltip-element", has_text=f"{value:.2f}").wait_for(state="visible")
    point.click()
    page.wait_for_function("location.hash.startsWith('#made-evaluate-')")


@pytest.mark.parametrize("size", [DESK, PHONE])
def test_every_chart_has_its_marks_inside(open_page, size):
    page = open_page(size)
    for name in ("distance-micro32", "loss", "distance-training", "distance-time", "published-published"):
        chart = page.locator(f'[data-chart="{name}"] svg')
        frame = chart.bounding_box()
        assert frame["width"] <= size["width"]
        for text in chart.locator("text").all():
            box = text.bounding_box()
            if box and box["width"]:
                assert box["x"] >= frame["x"] - 1, text.inner_html()
                assert box["x"] + box["width"] <= frame["x"] + frame["width"] + 1, text.inner_html()


def test_the_report_is_the_same_when_it_is_made_again(made, tmp_path):
    folder = tmp_path / "copy"
    shutil.copytree(made[0], folder, symlinks=True)
    command = json.loads((folder / "results/records/report.json").read_text())["command"]
    shutil.rmtree(folder / "results/ledger")  # which grows with each start
    pages = []
    for _ in range(2):
        run(folder, "bash", "-c", command.replace("--out_record results/records/report.json", ""))
        pages.append((folder / "results/report/index.html").read_bytes())
    assert pages[0] == pages[1]
