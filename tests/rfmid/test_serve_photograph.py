"""Uploaded bytes: whatever they are, they are a photograph or refused."""

from __future__ import annotations

import io
import warnings
from functools import cache

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from examples.rfmid.data.images import load_image
from examples.rfmid.serving.web import photograph
from examples.rfmid.serving.web.photograph import FORMATS, open_photograph
from examples.rfmid.serving.web.refusals import Refusal

MOST = 10_000


@cache
def encoded(kind: str) -> bytes:
    pixels = np.random.default_rng(0).integers(0, 255, (40, 60, 3), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, kind)
    return file.getvalue()


def opened(content: bytes) -> Image.Image | None:
    """Return the photograph, or None for a refusal; anything else that is raised is a fault."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow's, of damaged metadata
        try:
            return open_photograph(content, MOST)
        except Refusal:
            return None


@pytest.mark.parametrize("kind", FORMATS)
def test_a_whole_file_is_what_load_image_makes_of_it(kind, tmp_path):
    path = tmp_path / f"eye.{kind.lower()}"
    path.write_bytes(encoded(kind))
    found = opened(encoded(kind))
    np.testing.assert_array_equal(found, load_image(path))


@given(content=st.binary(max_size=200))
def test_arbitrary_bytes_are_refused(content):
    assert opened(content) is None


@given(kind=st.sampled_from(FORMATS), share=st.floats(0, 0.95))
def test_what_is_cut_off_is_refused(kind, share):
    content = encoded(kind)
    assert opened(content[: int(share * len(content))]) is None


@given(
    kind=st.sampled_from(FORMATS),
    changes=st.lists(st.tuples(st.integers(0, 7500), st.integers(0, 255)), max_size=8),
)
def test_what_is_damaged_is_refused_or_a_photograph_within_the_limit(kind, changes):
    content = bytearray(encoded(kind))
    for place, value in changes:
        content[place % len(content)] = value
    found = opened(bytes(content))
    assert found is None or found.mode == "RGB"
    assert found is None or found.width * found.height <= MOST


@pytest.mark.parametrize("kind", FORMATS)
def test_a_photograph_above_the_limit_is_refused_by_its_header(kind, monkeypatch):
    monkeypatch.setattr(photograph, "upright_rgb", lambda image: pytest.fail("it was decoded"))
    file = io.BytesIO()
    Image.new("RGB", (101, 100)).save(file, kind)
    with pytest.raises(Refusal, match="101 x 100 pixels"):
        open_photograph(file.getvalue(), MOST)
