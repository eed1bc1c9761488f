"""The check of the built site finds dead links and whatever a page would fetch from elsewhere."""

from __future__ import annotations

import pytest

from docs.check_site import problems

GOOD = '<h1 id="top-of-it">x</h1><a href="other.html#here">y</a><a href="https://e.org">z</a>'
OTHER = '<p id="here"></p><a href="index.html#top-of-it">x</a><img src="data:image/png;base64,AA">'


def site(folder, index=GOOD, other=OTHER, css=""):
    (folder / "index.html").write_text(index)
    (folder / "other.html").write_text(other)
    (folder / "style.css").write_text(css)
    return problems(folder)


def test_a_sound_site_has_no_problem(tmp_path):
    assert site(tmp_path, css="a { background: url('data:,x') } /* url(https://e.org) */") == []


@pytest.mark.parametrize(
    ("html", "problem"),
    [
        ('<a href="gone.html">x</a>', "gone.html does not exist"),
        ('<a href="other.html#gone">x</a>', "other.html#gone has no such anchor"),
        ('<a href="#gone">x</a>', "#gone has no such anchor"),
        ('<a href="../up.html">x</a>', "../up.html leaves the site"),
        ('<img src="gone.png">', "gone.png does not exist"),
        ('<img srcset="gone.png 2x">', "gone.png does not exist"),
        ('<script src="https://cdn.org/x.js"></script>', "fetches https://cdn.org/x.js"),
        ('<script src="//cdn.org/x.js"></script>', "fetches //cdn.org/x.js"),
        ('<link rel="stylesheet" href="https://cdn.org/x.css">', "fetches https://cdn.org/x.css"),
        ("<style>@import 'https://cdn.org/x.css';</style>", "fetches https://cdn.org/x.css"),
        ('<p style="background: url(https://e.org/x)">', "fetches https://e.org/x"),
    ],
)
def test_what_is_wrong_on_a_page_is_found(html, problem, tmp_path):
    assert site(tmp_path, other=OTHER + html) == [f"other.html: {problem}"]


def test_what_a_style_sheet_fetches_is_found(tmp_path):
    found = site(tmp_path, css="@font-face { src: url(https://e.org/f.woff2), url(gone.woff2) }")
    assert found == [
        "style.css: fetches https://e.org/f.woff2",
        "style.css: gone.woff2 does not exist",
    ]


def test_a_link_that_is_not_fetched_may_lead_outside(tmp_path):
    assert site(tmp_path, index=GOOD + '<link rel="canonical" href="https://e.org/">') == []


def test_an_empty_folder_is_no_site(tmp_path):
    assert len(problems(tmp_path)) == 1
