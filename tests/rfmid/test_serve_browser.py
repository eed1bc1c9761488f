"""The page in a real browser, where one is installed."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("starlette")
pytest.importorskip("uvicorn")

from benchmarks.browser import Page, browsing, installed
from examples.rfmid.runfolder import RunFolder
from examples.rfmid.serving.bundle import load_bundle
from examples.rfmid.serving.predict import predict
from examples.rfmid.serving.web.limits import Limits
from examples.rfmid.serving.web.worker import work
from tests.rfmid.page_hands import PATIENCE, SETTLED, give, tab_to, text, texts
from tests.rfmid.page_server import PageServer, page_server, until

pytestmark = pytest.mark.skipif(installed() is None, reason="needs Chromium to be installed")

LIMITS = Limits(max_megabytes=0.1, max_megapixels=1, max_files=12, max_waiting=0, max_seconds=240)
READ, REFUSED = (f"!!document.querySelector('.card.{kind}')" for kind in ("read", "refused"))


@pytest.fixture(scope="module")
def server(served_run: RunFolder) -> Iterator[PageServer]:
    with page_server(work, (str(served_run.path), LIMITS.max_pixels, 1), LIMITS) as found:
        yield found


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    with browsing(tmp_path_factory.mktemp("browser")) as page:
        yield page


@pytest.fixture
def page(browser: Page, server: PageServer) -> Iterator[Page]:
    """Open the page; afterwards, it must not have complained or asked for anything from elsewhere.

    A browser notes refusals (4xx and 5xx) on its console by itself.
    """
    browser.size(1280, 900)
    browser.open(server.url)
    browser.wait_for("document.getElementById('files')?.disabled === false", PATIENCE)
    yield browser
    noted = [one for one in browser.complaints() if not refusal(one, server)]
    assert noted == []
    own = (server.url, "data:", f"blob:{server.url}")
    assert [url for url in browser.requests() if not url.startswith(own)] == []
    assert len(browser.requests()) > 8


def refusal(complaint: dict[str, Any], server: PageServer) -> bool:
    entry = complaint.get("entry", {})
    return entry.get("source") == "network" and entry["url"].startswith(f"{server.url}api/")


def test_a_photograph_is_read_and_its_figures_are_predicts(
    page: Page, served_run: RunFolder, many_eyes: list[Path]
) -> None:
    give(page, many_eyes[:1])
    (one,) = predict((many_eyes[0],), run=served_run.path)
    bundle = load_bundle(served_run.path)
    rows = page.run(
        """[...document.querySelectorAll("tbody tr")].map((row) => [...row.children].map(
        (cell) => (cell.querySelector(".probability") ?? cell).firstChild?.textContent ?? ""))"""
    )
    assert len(rows) == len(bundle.names)
    by_name = {name: code for code, name in bundle.names.items()}
    for name, probability, threshold, decision, _, _ in rows:
        code = by_name[name]
        assert probability == f"{one.probabilities[code]:.3f}"
        limit = dict(zip(bundle.names, bundle.thresholds.thresholds, strict=True))[code]
        assert threshold == ("none" if limit == float("inf") else f"{limit:.3f}")
        wanted = "yes" if one.decisions[code] else "not assessed" if threshold == "none" else "no"
        assert decision.split(" ", 1)[1] == wanted
    grades = texts(page, "td.grade")
    assert sum(cell == "" for cell in grades) == len(grades) - 2
    assert {cell[-4:] for cell in grades if cell} == {
        f"{max(distribution):.2f}" for distribution in one.grades.values()
    }
    said = texts(page, "td.certified")
    assert any(cell.startswith("at least 0.") for cell in said)
    assert any("the floor is 0.3" in cell for cell in said)
    assert any("no image set aside shows it" in cell for cell in said)
    assert "1 of 1 photograph read" in text(page, "#progress")


def test_good_and_bad_files_together(page: Page, many_eyes: list[Path], tmp_path: Path) -> None:
    bad = {
        "cut.png": many_eyes[0].read_bytes()[:900],
        "empty.png": b"",
        "large.png": b"x" * 150_000,
        'notes, "mine".png': b"hello",
    }
    for name, content in bad.items():
        (tmp_path / name).write_bytes(content)
    give(page, [many_eyes[0], *(tmp_path / name for name in bad), many_eyes[1]])
    shown = dict(zip(texts(page, ".card.refused h3"), texts(page, ".card.refused p"), strict=True))
    assert set(shown) == set(bad)
    assert "cut off" in shown["cut.png"]
    assert "empty" in shown["empty.png"]
    assert "at most 0.1 MB" in shown["large.png"]
    assert "not a photograph" in shown['notes, "mine".png']
    assert texts(page, ".card.read h3") == [many_eyes[0].name, many_eyes[1].name]
    assert page.run("document.querySelectorAll('details[open] table').length") == 1
    assert "2 of 6 photographs read, 4 not taken" in text(page, "#progress")
    page.run("document.querySelector('.card.refused button').click()")
    assert "2 of 5 photographs read, 3 not taken" in text(page, "#progress")
    page.run("document.getElementById('clear').click()")
    assert page.run("document.getElementById('results').hidden")


def test_too_many_files_are_named_one_by_one(
    page: Page, many_eyes: list[Path], tmp_path: Path
) -> None:
    copies = [tmp_path / f"{k:02}.png" for k in range(14)]
    for copy in copies:
        copy.write_bytes(many_eyes[1].read_bytes())
    give(page, copies)
    assert len(texts(page, ".card.read")) == 12
    assert texts(page, ".card.refused h3") == ["12.png", "13.png"]
    assert "at most 12 photographs at once" in text(page, ".card.refused p")


def test_the_downloaded_table_is_predicts(
    page: Page,
    served_run: RunFolder,
    many_eyes: list[Path],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    odd = many_eyes[0].parent / 'a "quoted", name.png'
    odd.write_bytes(many_eyes[1].read_bytes())
    (tmp_path / "bad.png").write_bytes(b"hello")
    output = many_eyes[0].parent / "found.csv"
    monkeypatch.chdir(many_eyes[0].parent)
    try:
        predict(
            tuple(Path(eye.name) for eye in [*many_eyes, odd]), run=served_run.path, output=output
        )
        wanted = output.read_text("utf-8")
        give(page, [*many_eyes, tmp_path / "bad.png", odd])
    finally:
        output.unlink(missing_ok=True)
        odd.unlink()
    path = page.download("document.getElementById('download').click()")
    assert path.name == "findings.csv"
    lines = path.read_text("utf-8").splitlines(keepends=True)
    assert "".join(lines[:-1]) == wanted
    assert lines[-1].startswith('bad.png,"This is not a photograph')
    assert lines[-1].endswith("," * (wanted.splitlines()[0].count(",") - 1) + "\n")


def test_everything_is_done_by_keyboard(page: Page, many_eyes: list[Path]) -> None:
    tab_to(page, "files")
    page.call("Page.setInterceptFileChooserDialog", enabled=True)
    page.press("Enter")
    until(lambda: page.run("true") and opened_chooser(page))
    page.call("Page.setInterceptFileChooserDialog", enabled=False)
    give(page, many_eyes[:2])
    tab_to(page, "download")
    tab_to(page, "clear")
    tab_to(page, "SUMMARY")
    tab_to(page, "which")
    for _ in range(5):
        page.press("ArrowDown")
        page.wait_for(
            "!/Computing/.test(document.querySelector('.map-words').textContent)", PATIENCE
        )
        if page.run("!document.querySelector('.map').hidden"):
            break
    assert page.run("document.querySelector('.map').naturalWidth") > 0
    assert "no evidence" in text(page, ".map-words")
    tab_to(page, "strength")
    before = page.run("getComputedStyle(document.querySelector('.map')).opacity")
    page.press("End")
    assert float(before) < 1
    assert page.run("getComputedStyle(document.querySelector('.map')).opacity") == "1"
    tab_to(page, "SUMMARY")
    page.press("Enter")
    page.wait_for("document.querySelectorAll('details[open] table').length === 2", PATIENCE)


def opened_chooser(page: Page) -> bool:
    return any(event["method"] == "Page.fileChooserOpened" for event in page.events)


def test_files_can_be_dropped(page: Page, many_eyes: list[Path]) -> None:
    files = [str(eye) for eye in many_eyes[:2]]
    data = {"items": [], "files": files, "dragOperationsMask": 1}
    for kind in ("dragEnter", "dragOver", "drop"):
        page.call("Input.dispatchDragEvent", type=kind, x=300, y=600, data=data)
        if kind == "dragOver":
            assert page.run("document.body.classList.contains('dragging')")
    page.wait_for(SETTLED, PATIENCE)
    assert len(texts(page, ".card.read")) == 2
    assert not page.run("document.body.classList.contains('dragging')")


def test_a_map_that_is_zero_everywhere_says_so(page: Page, many_eyes: list[Path]) -> None:
    give(page, many_eyes[:1])
    said = set()
    for code in page.run("[...document.querySelector('.which').options].map((one) => one.value)"):
        page.run(
            f"""(() => {{ const box = document.querySelector(".which"); box.value = "{code}";
            box.dispatchEvent(new Event("change")); }})()"""
        )
        page.wait_for(
            "!/Computing/.test(document.querySelector('.map-words').textContent)", PATIENCE
        )
        hidden = page.run("document.querySelector('.map').hidden")
        words = text(page, ".map-words")
        assert hidden == ("no evidence" not in words)
        said.add(words[:11])
    assert {"", "Bright: whe"} <= said


def test_a_worker_that_dies_is_said_and_trying_again_works(
    page: Page, server: PageServer, many_eyes: list[Path]
) -> None:
    (worker,) = server.workers
    os.kill(worker.pid, signal.SIGSTOP)
    page.choose_files("#files", many_eyes[:1])
    until(lambda: page.run("true") and worker.busy)
    os.kill(worker.pid, signal.SIGKILL)
    page.wait_for(REFUSED, PATIENCE)
    assert "Another one is starting" in text(page, ".card.refused p")
    assert many_eyes[0].name in page.run("document.querySelector('.card button').ariaLabel")
    page.run("document.querySelector('.card button').click()")
    page.wait_for(READ, PATIENCE)


def test_a_busy_server_is_asked_again(
    page: Page, server: PageServer, many_eyes: list[Path]
) -> None:
    (worker,) = server.workers
    with ThreadPoolExecutor(1) as threads:
        os.kill(worker.pid, signal.SIGSTOP)
        try:
            other = threads.submit(server.post, many_eyes[1].read_bytes())
            until(lambda: server.pool.taken == 1)
            page.choose_files("#files", many_eyes[:1])
            waits = (
                "/busy with other photographs/.test(document.querySelector('.card p')?.textContent)"
            )
            page.wait_for(waits, PATIENCE)
        finally:
            os.kill(worker.pid, signal.SIGCONT)
        page.wait_for(READ, PATIENCE)
        assert other.result().status == 200


def test_what_a_screen_reader_gets(page: Page, many_eyes: list[Path]) -> None:
    give(page, many_eyes[:1])
    page.wait_for(
        f"document.getElementById('spoken').textContent.startsWith('{many_eyes[0].name}:')"
    )
    assert page.run("document.getElementById('spoken').role") == "status"
    unnamed = page.run(
        """[...document.querySelectorAll("input, select, button")].filter((one) =>
        !one.labels?.length && !one.ariaLabel && !one.textContent.trim()).length"""
    )
    assert unnamed == 0
    assert page.run("[...document.images].every((one) => one.hidden || one.alt)")
    for width in (1280, 390):
        page.size(width, 844)
        nodes = page.call("Accessibility.getFullAXTree")["nodes"]
        roles = [node["role"]["value"] for node in nodes if not node.get("ignored")]
        assert roles.count("columnheader") == 6
        assert roles.count("rowheader") == 5
        assert roles.count("row") == 6
        names = [node["name"]["value"] for node in nodes if "name" in node]
        assert any("Not a medical device" in name for name in names)
        assert "Findings in fundus photographs" in names


@pytest.mark.parametrize("width", [390, 1280])
@pytest.mark.parametrize("dark", [False, True])
def test_nothing_is_wider_than_the_screen_and_the_warning_stays(
    page: Page, many_eyes: list[Path], width: int, dark: bool
) -> None:
    page.size(width, 844, dark=dark)
    give(page, many_eyes[:1])
    assert page.run("document.documentElement.scrollWidth") == width
    wider = page.run(
        "[...document.querySelectorAll('main *')]"
        f".filter((one) => one.offsetWidth > {width}).length"
    )
    assert wider == 0
    cut = page.run(
        "[...document.querySelectorAll('.card')].some((one) => one.scrollWidth > one.clientWidth)"
    )
    assert not cut
    page.run("window.scrollTo(0, document.body.scrollHeight)")
    top = "document.getElementById('warning').getBoundingClientRect().top"
    assert page.run(top) == 0
    ground = page.run("getComputedStyle(document.body).backgroundColor")
    assert (ground != "rgb(255, 255, 255)") == dark


def test_text_stands_out_from_its_ground(page: Page, many_eyes: list[Path]) -> None:
    """WCAG's contrast of at least 4.5 for every text, in the light and in the dark."""
    contrast = """(() => {
      const canvas = document.createElement("canvas").getContext("2d", {willReadFrequently: true});
      const paint = (...colours) => {
        canvas.clearRect(0, 0, 1, 1);
        for (const one of colours) { canvas.fillStyle = one; canvas.fillRect(0, 0, 1, 1); }
        const [r, g, b] = [...canvas.getImageData(0, 0, 1, 1).data].map((v) => v / 255).map(
          (v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4));
        return 0.2126 * r + 0.7152 * g + 0.0722 * b;
      };
      const grounds = (one) => one ? [...grounds(one.parentElement),
        getComputedStyle(one).backgroundColor] : [];
      return [...document.querySelectorAll("body *")].filter((one) => one.checkVisibility() &&
        [...one.childNodes].some((node) => node.nodeType === 3 && node.data.trim())).map((one) => {
          const ground = grounds(one);
          const ends = [paint(...ground), paint(...ground, getComputedStyle(one).color)].sort();
          const ratio = (Math.max(...ends) + 0.05) / (Math.min(...ends) + 0.05);
          return [one.tagName, one.textContent.slice(0, 20), ratio];
        }).filter(([, , ratio]) => ratio < 4.5);
    })()"""
    give(page, many_eyes[:2])
    for dark in (False, True):
        page.size(1280, 900, dark=dark)
        assert page.run(contrast) == []


def test_a_server_that_is_gone_is_said(page: Page, many_eyes: list[Path]) -> None:
    online = {"latency": 0, "downloadThroughput": -1, "uploadThroughput": -1}
    page.call("Network.emulateNetworkConditions", offline=True, **online)
    try:
        give(page, many_eyes[:1])
    finally:
        page.call("Network.emulateNetworkConditions", offline=False, **online)
    assert "doesn't answer" in text(page, ".card.refused p")
    page.run("document.querySelector('.card button').click()")
    page.wait_for(READ, PATIENCE)
