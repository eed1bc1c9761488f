"""Remake the pictures of pages in ``docs/_static``: a run on drawings, in headless Chromium.

``make demo``, then ``python docs/screenshots.py --run runs/demo/run`` from the repository's root.
"""

from __future__ import annotations

import argparse
import io
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.browser import Page, browsing
from examples.rfmid.fundus.render import draw_fundus
from examples.rfmid.predictions import Predictions
from examples.rfmid.runfolder import RunFolder
from mlthresh import write_explorer

_STATIC = Path(__file__).parent / "_static"
_SEEN = {"left eye.jpg": ["DR"], "right eye.jpg": ["ODC"], "second visit.jpg": ["ARMD", "DN"]}


def take(page: Page, name: str) -> None:
    """Keep what the window shows, in few colours."""
    with tempfile.TemporaryDirectory() as folder:
        shot = Path(folder, "shot.png")
        page.screenshot(shot, whole=False)
        with Image.open(shot) as image:
            few = image.convert("RGB").quantize(256, Image.Quantize.MEDIANCUT, dither=0)
    file = io.BytesIO()
    few.save(file, "PNG", optimize=True)
    (_STATIC / name).write_bytes(file.getvalue())
    print(f"{_STATIC / name}: {file.tell():,} bytes")


def explorer(page: Page, run: Path, folder: Path) -> None:
    """Show the explorer with a threshold moved, at another prevalence."""
    val = Predictions.load(RunFolder(run).predictions("val"))
    options = {"class_names": val.class_names, "min_recall": 0.3}
    write_explorer(
        folder / "e.html", val.y_true, val.y_score, source="validation drawings", **options
    )
    page.size(1280, 1000)
    page.open(folder / "e.html")
    page.run(
        """(() => {
        const choose = (id, words) => {
          const box = document.getElementById(id);
          box.value = [...box.options].find((one) => one.text === words).value;
          box.dispatchEvent(new Event("change"));
        };
        choose("preset", "Pooled");
        [...document.querySelectorAll("#classes button")].find(
          (one) => one.textContent === "ARMD").click();
        document.getElementById("slider").focus();
        })()"""
    )
    for _ in range(8):
        page.press("ArrowLeft")
    page.run("document.getElementById('prevalence').focus()")
    page.run("document.getElementById('prevalence').select()")
    page.type("0.5")
    page.press("Enter")
    page.run("document.activeElement.blur()")
    take(page, "explorer.png")


def serve(page: Page, run: Path, folder: Path) -> None:
    """Show three photographs and a broken file, and a map over the last."""
    paths = []
    for k, (name, codes) in enumerate(_SEEN.items()):
        paths.append(folder / name)
        Image.fromarray(draw_fundus(codes, size=448, rng=np.random.default_rng(k + 7))).save(
            paths[-1], quality=92
        )
    broken = folder / "sent by mail.jpg"
    broken.write_bytes(paths[0].read_bytes()[:9000])
    process = subprocess.Popen(  # noqa: S603
        [sys.executable, "-m", "examples.rfmid", "serve", str(run), "--port", "0"],
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        address = re.search(r"http://\S+/", process.stdout.readline())[0]
        page.size(1280, 1000)
        page.open(address)
        page.wait_for("document.getElementById('files')?.disabled === false", 60)
        page.choose_files("#files", [*paths[:2], broken, paths[2]])
        page.wait_for("document.querySelectorAll('.card.read, .card.refused').length === 4", 60)
        page.run(
            """(() => {
            const boxes = [...document.querySelectorAll("details")].slice(0, 3);
            boxes[0].open = false;
            boxes[2].open = true;
            })()"""
        )
        page.wait_for("!!document.querySelector('details[open] .which')")
        page.run(
            """(() => { const box = document.querySelector("details[open] .which");
            box.selectedIndex = 1; box.dispatchEvent(new Event("change")); })()"""
        )
        page.wait_for("!document.querySelector('details[open] .map').hidden", 60)
        page.run("document.activeElement.blur()")
        take(page, "serve.png")
    finally:
        process.terminate()
        process.wait()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python docs/screenshots.py")
    parser.add_argument("--run", type=Path, required=True, help="a run on drawings")
    run = parser.parse_args().run
    with tempfile.TemporaryDirectory() as folder, browsing(Path(folder)) as page:
        explorer(page, run, Path(folder))
        serve(page, run, Path(folder))
