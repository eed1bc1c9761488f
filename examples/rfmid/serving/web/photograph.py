"""Uploaded bytes to a photograph, or to the reason why not."""

from __future__ import annotations

import io

from PIL import Image, UnidentifiedImageError

from examples.rfmid.data.images import DECODING_ERRORS, upright_rgb
from examples.rfmid.serving.web.refusals import Refusal

FORMATS = ("JPEG", "PNG", "TIFF", "BMP", "WEBP")


def open_photograph(content: bytes, max_pixels: int) -> Image.Image:
    """Decode a photograph from memory, turn it upright, and return it as 8-bit RGB.

    Its size is read from its header, and too large a one is never decoded.

    Raises
    ------
    Refusal
        If it is empty, no image, too large, cut off or damaged, or has more than 8 bits a channel.
    """
    if not content:
        raise Refusal(422, "empty", "The file is empty.")
    try:
        with Image.open(io.BytesIO(content), formats=FORMATS) as image:
            if image.width * image.height > max_pixels:
                raise _too_large(image.width, image.height, max_pixels)
            upright = upright_rgb(image)
            mode = image.mode
    except UnidentifiedImageError:
        raise Refusal(
            415,
            "not_an_image",
            "This is not a photograph that can be read: it must be a JPEG, PNG, TIFF, BMP or WebP "
            "file. If it is one, its beginning is damaged.",
        ) from None
    except Image.DecompressionBombError:
        raise Refusal(422, "too_many_pixels", "The photograph has far too many pixels.") from None
    except DECODING_ERRORS as error:
        raise _damaged(error) from error
    if upright is None:
        raise Refusal(
            422,
            "bit_depth",
            f"The photograph has more than 8 bits a channel (mode {mode}). Save it with 8.",
        )
    return upright


def _too_large(width: int, height: int, max_pixels: int) -> Refusal:
    return Refusal(
        422,
        "too_many_pixels",
        f"The photograph has {width:,} x {height:,} pixels, {width * height / 1e6:,.1f} million; "
        f"at most {max_pixels / 1e6:,g} million are taken.",
    )


def _damaged(error: BaseException) -> Refusal:
    if "truncated" in str(error).lower():
        return Refusal(
            422, "truncated", "The file is cut off: its end is missing. Copy or export it again."
        )
    return Refusal(
        422, "damaged", "The file is damaged, or its end is missing. Copy or export it again."
    )
