"""The explorer's page in a real browser, where one is installed."""

from __future__ import annotations

import json
from importlib.resources import files

import numpy as np
import pytest

from benchmarks.browser import browsing, installed
from mlthresh import ThresholdSet, find_optimal_thresholds, multilabel_report, write_explorer
from mlthresh._intervals import clopper_pearson, f1_interval
from tests.test_explorer import NASTY

pytestmark = pytest.mark.skipif(installed() is None, reason="needs Chromium to be installed")

NAMES = ["DR", "MH", "BRVO", "none"]
CTRL, SHIFT = 2, 8
DASH = "\u2013"


@pytest.fixture(scope="module")
def arrays():
    rng = np.random.default_rng(0)
    y_true = (rng.random((500, 4)) < [0.4, 0.15, 0.03, 0.0]).astype(float)
    y_true[:9, 1] = np.nan
    y_score = 1 / (1 + np.exp(2 - 3 * np.nan_to_num(y_true) - rng.normal(size=y_true.shape)))
    return y_true, y_score.astype(np.float32)


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    with browsing(tmp_path_factory.mktemp("browser")) as page:
        yield page


@pytest.fixture(scope="module")
def written(tmp_path_factory, arrays):
    path = tmp_path_factory.mktemp("page") / "explorer.html"
    write_explorer(path, *arrays, class_names=NAMES, min_recall=0.7)
    return path


@pytest.fixture
def page(browser, written):
    """Open the page; afterwards, it must not have complained or asked for anything else."""
    browser.size(1280, 900)
    browser.open(written)
    yield browser
    assert browser.complaints() == []
    assert browser.requests() == [written.resolve().as_uri()]


def text(page, selector):
    return page.run(f"document.querySelector({json.dumps(selector)})?.textContent")


def click(page, selector):
    page.run(f"document.querySelector({json.dumps(selector)}).click()")


def focus(page, selector):
    page.run(f"document.querySelector({json.dumps(selector)}).focus()")


def choose(page, selector, label):
    page.run(
        f"""(() => {{
        const box = document.querySelector({json.dumps(selector)});
        box.value = [...box.options].find((one) => one.text === {json.dumps(label)}).value;
        box.dispatchEvent(new Event("change"));
        }})()"""
    )


def enter(page, selector, value):
    focus(page, selector)
    page.run(f"document.querySelector({json.dumps(selector)}).select()")
    page.type(value)
    page.press("Enter")


def row(page, name):
    """Return what the table of all classes says about one."""
    return page.run(
        f"""(() => {{
        const of = (tr) => [...tr.children].map((cell) => cell.firstChild?.textContent ?? "");
        return [...document.querySelectorAll("#overview tr")].map(of).find(
            ([first]) => first === {json.dumps(name)});
        }})()"""
    )


def select_class(page, name):
    page.run(
        "[...document.querySelectorAll('#classes button')]"
        f".find((one) => one.textContent === {json.dumps(name)}).click()"
    )


def downloaded(page):
    path = page.download("document.getElementById('download').click()")
    assert path.name == "thresholds.json"
    return ThresholdSet.load(path)


def test_shown_figures_are_the_reports(page, arrays):
    for preset in ("Fixed 0.5", "Grid", "Exact", "Pooled", "Certified"):
        choose(page, "#preset", preset)
        found = downloaded(page)
        report = multilabel_report(*arrays, found, n_resamples=0)
        for c, name in enumerate(NAMES):
            cells = row(page, name)
            expected = [
                *(report.recall[c], report.precision[c], report.specificity[c], report.f1[c]),
                1000 * report.alarm_rate[c],
            ]
            shown = [float("nan") if cell == DASH else float(cell) for cell in cells[3:8]]
            np.testing.assert_allclose(shown[:4], expected[:4], atol=0.0005001)
            np.testing.assert_allclose(shown[4], expected[4], atol=0.0501)
        macro, micro = row(page, "Macro"), row(page, "Micro")
        assert float(macro[6]) == pytest.approx(report.macro_f1, abs=0.0005001)
        assert float(micro[3]) == pytest.approx(report.micro_recall, abs=0.0005001)
        assert float(micro[6]) == pytest.approx(report.micro_f1, abs=0.0005001)


def test_an_untouched_preset_downloads_as_the_search_left_it(page, arrays):
    choose(page, "#preset", "Certified")
    options = {"strategy": "pooled", "min_recall": 0.7, "confidence": 0.95}
    expected = find_optimal_thresholds(*arrays, class_names=NAMES, **options)
    assert downloaded(page).to_dict() == expected.to_dict()


def test_moved_thresholds_decide_and_measure_as_shown(page, arrays):
    y_true, y_score = arrays
    choose(page, "#preset", "Exact")
    for name, key in (("DR", "ArrowLeft"), ("MH", "ArrowRight"), ("BRVO", "Home")):
        select_class(page, name)
        focus(page, "#slider")
        for _ in range(5):
            page.press(key)
    assert "3 of 4 moved by hand" in text(page, "#moved")
    found = downloaded(page)
    assert found.thresholds.dtype == np.float32
    assert found.options["strategy"] == "by hand"
    report = multilabel_report(y_true, y_score, found, n_resamples=0)
    for figure in ("recall", "precision", "alarm_rate"):
        np.testing.assert_array_equal(getattr(found, figure), getattr(report, figure))
    np.testing.assert_array_equal(found.f1, np.nan_to_num(report.f1))
    np.testing.assert_array_equal(found.support, report.support)
    for c, name in enumerate(NAMES):
        select_class(page, name)
        counts = [int(text(page, f"#{key}")) for key in ("tp", "fp", "fn", "tn")]
        assert counts == [getattr(report, key)[c] for key in ("tp", "fp", "fn", "tn")]
    # Certified are thresholds that the search, told to go no higher, certifies too.
    for c in range(3):
        capped = find_optimal_thresholds(
            y_true[:, [c]],
            y_score[:, [c]],
            min_recall=0.7,
            confidence=0.95,
            min_threshold=found.thresholds[c],
        )
        assert found.certified[c] == (capped.status == ("ok",))
        assert found.certified[c] == (row(page, NAMES[c])[-1] == "✓")
        assert found.options["min_recall"][c] == (0.7 if found.certified[c] else 0)
    assert found.certified.any()
    assert not found.certified.all()


def test_every_slider_stop_is_a_cut_with_its_counts(page, arrays):
    y_true, y_score = arrays
    select_class(page, "BRVO")
    stops = page.run("Number(document.getElementById('slider').max) + 1")
    for stop in np.linspace(0, stops - 1, 9).astype(int).tolist():
        page.run(
            f"""(() => {{ const s = document.getElementById("slider"); s.value = {stop};
            s.dispatchEvent(new Event("input")); s.dispatchEvent(new Event("change")); }})()"""
        )
        threshold = downloaded(page).thresholds[2]
        alarm = y_score[:, 2] >= threshold
        assert int(text(page, "#tp")) == (alarm & (y_true[:, 2] == 1)).sum()
        assert int(text(page, "#fp")) == (alarm & (y_true[:, 2] == 0)).sum()
    assert row(page, "BRVO")[2] == "never"


def test_keyboard_undo_and_redo(page):
    select_class(page, "DR")
    focus(page, "#slider")
    before = row(page, "DR")
    page.press("ArrowRight")
    page.press("ArrowRight")
    moved = row(page, "DR")
    assert moved != before
    page.press("z", CTRL)
    page.press("z", CTRL)
    assert row(page, "DR") == before
    assert page.run("document.getElementById('undo').disabled")
    page.press("z", CTRL | SHIFT)
    page.press("z", CTRL | SHIFT)
    assert row(page, "DR") == moved
    click(page, "#undo")
    choose(page, "#floor", "0.95")
    assert page.run("document.getElementById('redo').disabled")
    click(page, "#undo")
    assert page.run("document.getElementById('floor').selectedOptions[0].text") == "0.7"


def test_undoing_shows_the_class_that_changes(page):
    select_class(page, "MH")
    focus(page, "#slider")
    page.press("End")
    select_class(page, "DR")
    click(page, "#undo")
    assert text(page, "#class-name") == "MH"


def test_the_number_field_takes_what_it_can_and_says_what_it_took(page):
    select_class(page, "DR")
    enter(page, "#threshold", "0.37")
    assert row(page, "DR")[2] == "0.37"
    assert text(page, "#threshold-note") == ""
    enter(page, "#threshold", "0,4200001")
    assert row(page, "DR")[2] == "0.42"
    assert "the nearest is 0.42" in text(page, "#threshold-note")
    enter(page, "#threshold", "much")
    assert row(page, "DR")[2] == "0.42"
    assert "not a number" in text(page, "#threshold-note")
    enter(page, "#threshold", "never")
    assert float(row(page, "DR")[3]) == 0


def test_another_prevalence_changes_precision_and_alarms(page):
    choose(page, "#preset", "Fixed 0.5")
    select_class(page, "DR")
    recall, specificity = (float(row(page, "DR")[i]) for i in (3, 5))
    enter(page, "#prevalence", "2.5")
    first = "document.querySelector('#figure-{} .elsewhere').firstChild.data"
    shown = {name: float(page.run(first.format(name))) for name in ("precision", "alarms", "f1")}
    called = recall * 0.025 + (1 - specificity) * 0.975
    precision = recall * 0.025 / called
    assert shown["precision"] == pytest.approx(precision, abs=0.02)
    assert shown["alarms"] == pytest.approx(1000 * called, abs=1.0)
    expected = 2 * precision * recall / (precision + recall)
    assert shown["f1"] == pytest.approx(expected, abs=0.02)
    ends = text(page, "#figure-precision .elsewhere small").split(DASH)
    assert float(ends[0]) < shown["precision"] < float(ends[1])
    click(page, "#undo")
    assert page.run("getComputedStyle(document.getElementById('elsewhere')).display") == "none"
    enter(page, "#prevalence", "120")
    assert "between 0 and 100" in text(page, "#prevalence-note")


def test_sorting_and_filtering(page):
    def listed():
        visible = "[...document.querySelectorAll('#classes tr:not([hidden]) th')]"
        return page.run(f"{visible}.map((cell) => cell.textContent)")

    click(page, "[data-key=name]")
    assert listed() == ["BRVO", "DR", "MH", "none"]
    click(page, "[data-key=name]")
    assert listed() == ["none", "MH", "DR", "BRVO"]
    sort = "document.querySelector('th button[data-key=name]').closest('th').ariaSort"
    assert page.run(sort) == "descending"
    click(page, "[data-key=recall]")
    assert listed()[-1] == "none"  # undefined
    enter(page, "#filter", "r")
    assert sorted(listed()) == ["BRVO", "DR"]
    assert text(page, "#count") == "2 of 4 classes"
    enter(page, "#filter", " ")
    choose(page, "#verdict-filter", "no positives")
    assert listed() == ["none"]


def test_a_click_on_a_chart_moves_the_threshold(page):
    select_class(page, "DR")
    box = page.run(
        "(({x, y, width, height}) => [x, y, width, height])"
        "(document.querySelector('#chart-rates .u-over').getBoundingClientRect())"
    )
    before = row(page, "DR")[2]
    at = {"x": box[0] + 0.25 * box[2], "y": box[1] + 0.5 * box[3], "button": "left"}
    for kind in ("mousePressed", "mouseReleased"):
        page.call("Input.dispatchMouseEvent", type=kind, clickCount=1, **at)
    assert float(row(page, "DR")[2]) < float(before)


def test_what_a_screen_reader_gets(page):
    select_class(page, "DR")
    page.wait_for("document.getElementById('spoken').textContent.startsWith('DR at threshold')")
    assert page.run("document.getElementById('spoken').ariaLive") == "polite"
    unnamed = page.run(
        """[...document.querySelectorAll("input, select, button")].filter((one) =>
        !one.labels?.length && !one.ariaLabel && !one.textContent.trim()).length"""
    )
    assert unnamed == 0
    assert "threshold 0.5" in page.run("document.getElementById('slider').ariaValueText")
    assert "recall" in page.run("document.getElementById('charts').ariaLabel")
    assert page.run("document.querySelectorAll('#overview thead th[scope=col]').length") == 9
    nodes = page.call("Accessibility.getFullAXTree")["nodes"]
    roles = [node["role"]["value"] for node in nodes if "role" in node]
    assert roles.count("row") >= 8
    assert "columnheader" in roles
    assert "rowheader" in roles


@pytest.mark.parametrize("width", [390, 1280])
@pytest.mark.parametrize("dark", [False, True])
def test_nothing_is_wider_than_the_screen(page, width, dark):
    page.size(width, 844, dark=dark)
    page.wait_for(f"document.documentElement.scrollWidth === {width}")
    page.wait_for(f"document.querySelector('.uplot').clientWidth <= {width}")
    ground = page.run("getComputedStyle(document.body).backgroundColor")
    assert (ground != "rgb(255, 255, 255)") == dark


def test_intervals_are_the_librarys(page):
    script = files("mlthresh.explorer").joinpath("scripts/intervals.js").read_text("utf-8")
    rng = np.random.default_rng(0)
    n = np.unique(np.append(np.arange(30), (10 ** rng.uniform(1, 7, 150)).astype(int)))
    pairs = [(k, m) for m in n.tolist() for k in {0, 1, m // 7, m // 2, m - 1, m} if 0 <= k <= m]
    for confidence in (0.5, 0.9, 0.95, 0.999):
        ends = f"clopperPearson(k, n, {confidence}).map((x) => Number.isNaN(x) ? null : x)"
        ours = page.run(
            f"(() => {{ {script}; return {json.dumps(pairs)}.map(([k, n]) => {ends}) }})()"
        )
        expected = clopper_pearson(*np.transpose(pairs), confidence)
        np.testing.assert_allclose(np.array(ours, dtype=float), expected, rtol=1e-8, atol=1e-12)


def test_the_interval_shown_for_f1(page):
    select_class(page, "DR")
    tp, fp, fn = (int(text(page, f"#{key}")) for key in ("tp", "fp", "fn"))
    shown = [float(end) for end in text(page, "#figure-f1 .interval").split(DASH)]
    expected = f1_interval(tp, fp, fn, 0.95)
    assert shown[0] <= expected[0] <= expected[1] <= shown[1]
    np.testing.assert_allclose(shown, expected, atol=0.001)


def test_intervals_of_patients_are_the_reports(browser, tmp_path, arrays):
    groups = np.arange(500) // 4
    write_explorer(tmp_path / "e.html", *arrays, class_names=NAMES, groups=groups)
    browser.open(tmp_path / "e.html")
    report = multilabel_report(*arrays, 0.5, groups=groups, n_resamples=0)
    for c, name in enumerate(NAMES[:3]):
        select_class(browser, name)
        for figure in ("recall", "precision", "specificity", "f1"):
            shown = text(browser, f"#figure-{figure} .interval").split(DASH)
            expected = getattr(report, f"{figure}_interval")[c]
            np.testing.assert_allclose(np.array(shown, dtype=float), expected, atol=0.0011)
    assert "of 125 patients" in text(browser, "#source")
    enter(browser, "#prevalence", "1")
    assert DASH in text(browser, "#figure-precision .elsewhere small")
    assert browser.complaints() == []


def test_names_are_shown_as_they_are(browser, tmp_path):
    rng = np.random.default_rng(0)
    y_true, y_score = rng.integers(0, 2, (30, 5)), rng.random((30, 5))
    write_explorer(tmp_path / "e.html", y_true, y_score, class_names=NASTY, source="<b>{{data}}")
    browser.open(tmp_path / "e.html")
    shown = browser.run("[...document.querySelectorAll('#classes th')].map((th) => th.textContent)")
    assert sorted(shown) == sorted(NASTY)
    assert "<b>{{data}}: 30 rows" in text(browser, "#source")
    assert downloaded(browser).class_names == tuple(NASTY)
    assert browser.complaints() == []


@pytest.mark.parametrize("y_score", [[[0.5], [0.5]], [[-3.0], [1e30]]])
def test_odd_data_opens(browser, tmp_path, y_score):
    write_explorer(tmp_path / "e.html", [[1], [np.nan]], y_score)
    browser.open(tmp_path / "e.html")
    focus(browser, "#slider")
    for key in ("Home", "End"):
        browser.press(key)
        assert downloaded(browser).class_names is None
    assert browser.complaints() == []
