"""The commands of the recipe's README exist, run, and say in one line what is wrong."""

from __future__ import annotations

import functools
import re
import shlex
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

import examples.rfmid
import examples.rfmid.__main__ as recipe
from examples.rfmid.data.label_map import LABEL_MAPS
from examples.rfmid.fundus import generate_dataset
from examples.rfmid.settings.config_file import save_config
from examples.rfmid.settings.presets import PRESETS

README = Path(examples.rfmid.__file__).with_name("README.md")
COMMANDS = tuple(recipe._COMMANDS)
WITH_SETTINGS = ("prepare", "find-lr", "profile", "train", "ablate", "crossval")

# What makes a command one of seconds. Experiments and the demonstration have tests of their own.
TINY = shlex.split(
    "--architecture tests.rfmid.simulation:tiny_network --weights none --image-size 32 --epochs 1"
    " --batch-size 8 --min-count 1 --certify-share 0 --threads 1 --num-workers 0 --device cpu"
)
SMALL = {
    **dict.fromkeys(WITH_SETTINGS, TINY),
    "find-lr": [*TINY, "--steps", "10"],
    "profile": [*TINY, "--steps", "2"],
    "evaluate": ["--n-resamples", "20"],
    "ensemble": ["--n-resamples", "20"],
    "export": ["--n-images", "2"],
}
ELSEWHERE = ("demo", "ablate", "crossval", "generate", "serve")


def commands_of(text: str) -> list[list[str]]:
    """Return the words of each whole command in a page or a docstring, behind the program."""
    whole = re.findall(r"(?:python -m|-m --) examples\.rfmid (.*?)(?:#|`|$)", text, re.MULTILINE)
    rows = "\n".join(line for line in text.splitlines() if line.startswith("|"))
    cells = re.findall(rf"`((?:{'|'.join(COMMANDS)}) -.*?)`", rows)
    found = [shlex.split(command) for command in [*whole, *cells]]
    return [words for words in found if not {"...", "--help"} & {*words}]


def page() -> str:
    return re.sub(r" *\\\n *", " ", README.read_text("utf-8"))


# -- that they exist


@pytest.fixture
def parsed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Take the work out of every command; its name is noted once its arguments were understood."""
    names: list[str] = []
    original = recipe._function

    def without_work(command: str) -> Callable[..., Any]:
        function = original(command)

        @functools.wraps(function)
        def note(*arguments: Any, **options: Any) -> None:
            names.append(command)

        return note

    monkeypatch.setattr(recipe, "_function", without_work)
    return names


def test_every_command_is_understood(
    parsed: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for run in ("run", "runs/tiny"):  # to resume
        (tmp_path / run).mkdir(parents=True)
        save_config(tmp_path / run / "config.json", PRESETS["demo"])
    found = commands_of(page()) + commands_of(examples.rfmid.__doc__ or "")
    for words in found:
        assert recipe.main(words) == 0, words
    assert parsed == [words[0] for words in found]
    assert set(parsed) == {*COMMANDS}, "every command is shown"


def test_every_flag_is_there(capsys: pytest.CaptureFixture[str]) -> None:
    flags = set(re.findall(r"`(--[a-z-]+)", page() + (examples.rfmid.__doc__ or "")))
    known = {"--nnodes", "--nproc-per-node", "--node-rank", "--master-addr"}  # torchrun's
    for command in COMMANDS:
        with pytest.raises(SystemExit) as ended:
            recipe.main([command, "--help"])
        assert ended.value.code == 0
        known |= set(re.findall(r"--[a-z-]+", capsys.readouterr().out))
    assert flags - known == set()


def test_the_files_to_read_are_there_and_few() -> None:
    _, _, rest = page().partition("## Read it")
    files = re.findall(r"^\| `(.*?\.py)` \|", rest.partition("\n## ")[0], re.MULTILINE)
    assert len(files) == 9
    n_lines = sum(len((README.parent / name).read_text("utf-8").splitlines()) for name in files)
    assert 1500 <= n_lines <= 1700, "the README says how long they are"


# -- that they run


@pytest.fixture(scope="module")
def drawings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return generate_dataset(
        tmp_path_factory.mktemp("drawings") / "RFMID", n_train=48, n_validation=24, n_test=24,
        size=48, workers=1, progress=False,
    )  # fmt: skip


@pytest.fixture
def stranger(drawings: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the files that the README names."""
    monkeypatch.chdir(tmp_path)
    for name in ("RFMID", "ODIR"):
        shutil.copytree(drawings, tmp_path / name)
    for path in (tmp_path / "ODIR").glob("*.csv"):  # with the columns that only ODIR has
        header, *rows = path.read_text("utf-8").splitlines()
        absent = [code for code in LABEL_MAPS["odir-to-rfmid"].columns if code not in header]
        rows = [row + ",0" * len(absent) for row in rows]
        path.write_text("\n".join([",".join([header, *absent]), *rows]), "utf-8")
    shutil.copy(drawings / "Training_Labels.csv", tmp_path / "l.csv")
    shutil.copytree(drawings / "Training", tmp_path / "i")
    shutil.copytree(drawings / "Test", tmp_path / "eyes")
    Image.open(tmp_path / "eyes" / "1.jpg").save(tmp_path / "eye.png")
    return tmp_path


@pytest.mark.slow
def test_a_stranger_tries_the_commands_in_their_order(
    stranger: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("onnxscript")
    tried: list[list[str]] = []
    for words in commands_of(page()):
        if words[0] in ELSEWHERE or words in tried:
            continue
        if words[0] == "ensemble":
            for name in "ab":
                shutil.copytree(stranger / "runs" / "tiny", stranger / "runs" / name)
        small = [] if "--resume" in words else SMALL.get(words[0], [])
        if "--features" in words:  # which are another network's
            small = [*small, "--features", "features.0"]
        assert recipe.main([*words, *small]) == 0, (words, capsys.readouterr().err)
        tried.append(words)
    assert {words[0] for words in tried} == {*COMMANDS} - {*ELSEWHERE}


# -- that they say what is wrong

WRONG = {
    "no data": "train --data nowhere --run runs/x",
    "no images": "train --data i --run runs/x",
    "no weights": "train --data RFMID --run runs/x --weights nowhere.pth",
    "an image for weights": "train --data RFMID --run runs/x --weights eye.png --preset cpu",
    "no architecture": "train --data RFMID --run runs/x --architecture resnet --weights none",
    "no factory": "train --data RFMID --run runs/x --architecture my_networks:resnet",
    "no preset": "train --data RFMID --run runs/x --preset deck",
    "no device": "train --data RFMID --run runs/x --device abacus",
    "a file for a folder": "train --data RFMID --run eye.png --weights none --preset cpu",
    "below a file": "train --data RFMID --run eye.png/x --weights none --preset cpu",
    "nothing to resume": "train --run runs/x --resume",
    "everything rare": "train --data RFMID --run runs/x --min-count 99",
    "no extra data": "train --data RFMID --run runs/x --extra-data nowhere=odir-to-rfmid",
    "no grades": "train --data RFMID --run runs/x --grades",
    "a map of nothing": "train --data RFMID --run runs/x --extra-data ODIR=nowhere.json",
    "tune nothing": "tune --run nowhere",
    "tune an image": "tune --run eye.png",
    "evaluate nothing": "evaluate --run nowhere",
    "evaluate elsewhere": "evaluate --run nowhere --external ODIR",
    "a name without a set": "evaluate --run nowhere --name x",
    "report nothing": "report --run nowhere",
    "predict by nothing": "predict --run nowhere --images eye.png",
    "predict by two": "predict --run nowhere --model m.onnx --images eye.png",
    "predict by an image": "predict --model eye.png --images eye.png",
    "predict by no file": "predict --model nowhere.onnx --images eye.png",
    "an output in no folder": "predict --run nowhere --images eye.png --output no/where.csv",
    "an output of another kind": "predict --run nowhere --images eye.png --output found.xlsx",
    "a folder without images": "predict --run nowhere --images runs",
    "explain nothing": "explain --run nowhere --images eye.png",
    "export nothing": "export --run nowhere",
    "an ensemble of one": "ensemble --run runs/x --runs nowhere",
    "an ensemble of nothing": "ensemble --run runs/x --runs nowhere elsewhere",
    "split no labels": "split --labels nowhere.csv --images i --output x",
    "split no images": "split --labels l.csv --images nowhere --output x",
    "split into something": "split --labels l.csv --images i --output RFMID",
    "split an image": "split --labels eye.png --images i --output x",
    "prepare nothing": "prepare --data nowhere",
    "a cache below a file": "prepare --data RFMID --min-count 1 --cache-folder eye.png/x",
    "sweep nothing": "find-lr --data nowhere --run runs/x",
    "profile nothing": "profile --data nowhere",
    "ablate nothing": "ablate --folder x --data nowhere",
    "ablate what is unknown": "ablate --folder x --data RFMID --variants nothing",
    "no folds of nothing": "crossval --folder x --data nowhere",
    "one fold": "crossval --folder x --data RFMID --folds 1",
    "draw over something": "generate --root RFMID --n-train 5",
    "a demonstration below a file": "demo --folder eye.png/x",
}


@pytest.mark.parametrize("name", WRONG)
def test_what_is_wrong_is_said_in_one_line(
    name: str, stranger: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (stranger / "runs").mkdir()
    before = {path for path in stranger.rglob("*") if path.is_file()}
    assert recipe.main(WRONG[name].split()) == 2
    said = capsys.readouterr().err
    assert said.startswith("error: ")
    assert said.count("\n") == 1, said
    assert {path for path in stranger.rglob("*") if path.is_file()} == before


def test_what_cannot_be_parsed_ends_with_status_2(capsys: pytest.CaptureFixture[str]) -> None:
    assert recipe.main(["trian"]) == 2
    assert capsys.readouterr().err.count("\n") == 1
    for command in (["train", "--nothing", "1"], ["tune", "--run"], ["tune", "--strategy", "x"]):
        with pytest.raises(SystemExit) as ended:
            recipe.main(command)
        assert ended.value.code == 2
        assert command[1] in capsys.readouterr().err
