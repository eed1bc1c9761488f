"""What is uploaded: one version everywhere, and a wheel and an sdist that hold what they must."""

from __future__ import annotations

import email
import re
import tarfile
import tomllib
import zipfile
from pathlib import Path

import pytest

import mlthresh

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
SOURCE = ROOT / "src/mlthresh"


def citation(key):
    text = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    return re.search(rf'^{key}: "?(.+?)"?$', text, re.MULTILINE)[1]


def test_version_and_date_are_the_same_everywhere():
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    heading = re.search(r"^## \[(.+)\] - (\d{4}-\d\d-\d\d)$", changelog, re.MULTILINE)
    assert heading.groups() == (citation("version"), citation("date-released"))
    assert heading[1] == mlthresh.__version__


def test_the_citation_says_what_the_package_says():
    assert citation("title") == PROJECT["name"]
    text = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    assert [f"  - name: {author['name']}" for author in PROJECT["authors"]] == re.findall(
        "^  - name: .+$", text, re.MULTILINE
    )
    keywords = text.partition("keywords:\n")[2]
    assert re.findall(r"^  - (.+)$", keywords, re.MULTILINE) == PROJECT["keywords"]
    assert PROJECT["license"].startswith(citation("license"))


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """Return the wheel and the sdist, built without network."""
    if not SOURCE.is_dir():
        pytest.skip("needs the source tree: these tests run on an installed wheel")
    pytest.importorskip("hatch_fancy_pypi_readme")
    folder = tmp_path_factory.mktemp("dist")
    wheel = pytest.importorskip("hatchling.builders.wheel").WheelBuilder(str(ROOT))
    sdist = pytest.importorskip("hatchling.builders.sdist").SdistBuilder(str(ROOT))
    [wheel_path] = wheel.build(directory=str(folder), versions=["standard"])
    [sdist_path] = sdist.build(directory=str(folder), versions=["standard"])
    return Path(wheel_path), Path(sdist_path)


@pytest.fixture(scope="module")
def metadata(built):
    with zipfile.ZipFile(built[0]) as wheel:
        [name] = [name for name in wheel.namelist() if name.endswith(".dist-info/METADATA")]
        return email.message_from_bytes(wheel.read(name))


def test_the_wheel_holds_the_whole_package(built):
    with zipfile.ZipFile(built[0]) as wheel:
        names = set(wheel.namelist())
    package = {
        path.relative_to(SOURCE.parent).as_posix()
        for path in SOURCE.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert package == {name for name in names if ".dist-info/" not in name}
    licenses = {name.partition("/licenses/")[2] for name in names if "/licenses/" in name}
    assert licenses == set(PROJECT["license-files"])


def test_the_sdist_holds_all_that_is_needed_to_test_cite_and_release(built):
    with tarfile.open(built[1]) as sdist:
        names = {name.partition("/")[2] for name in sdist.getnames()}
    wanted = {"CITATION.cff", "RELEASING.md", "CHANGELOG.md", "CONTRIBUTING.md", "LICENSE"}
    wanted |= {"README.md", "Makefile", "pyproject.toml", "docs/conf.py", "benchmarks/__main__.py"}
    wanted |= {
        path.relative_to(ROOT).as_posix()
        for folder in ("src", "tests", "examples")
        for path in (ROOT / folder).rglob("*.py")
    }
    assert wanted <= names


def test_what_pypi_shows_is_the_readme_with_whole_links(metadata):
    readme, shown = (ROOT / "README.md").read_text(encoding="utf-8"), metadata.get_payload()
    link = re.compile(r"(!?)\[([^]]*)\]\(([^)]+)\)")
    written, linked = link.findall(readme), link.findall(shown)
    assert "Description-Content-Type: text/markdown" in metadata.as_string()
    assert link.sub("", shown).strip() == link.sub("", readme).strip(), "words stay"
    assert len(written) == len(linked) > 0
    source = dict(line.split(", ") for line in metadata.get_all("Project-URL"))["Source"]
    for (picture, text, target), link_on_pypi in zip(written, linked, strict=True):
        kind = "raw" if picture else "blob"
        whole = f"{source}/{kind}/v{mlthresh.__version__}/{target}"
        assert link_on_pypi == (picture, text, target if "://" in target else whole)
        assert "://" in target or (ROOT / target).is_file()


def test_the_addresses_have_one_beginning(metadata):
    """One command sets them all."""
    addresses = [line.split(", ")[1] for line in metadata.get_all("Project-URL")]
    source = PROJECT["urls"]["Source"]
    assert len(addresses) == len(PROJECT["urls"])
    assert all(address.startswith(source) for address in addresses)


@pytest.mark.parametrize("extra", PROJECT["optional-dependencies"])
def test_every_optional_dependency_has_a_lower_bound(extra):
    assert all(">=" in needed for needed in PROJECT["optional-dependencies"][extra])
