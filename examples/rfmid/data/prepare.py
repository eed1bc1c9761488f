"""Fill the image cache before the first run, for example on a machine without a GPU."""

from __future__ import annotations

import time
from dataclasses import replace

from examples.rfmid.data.dataset import open_images
from examples.rfmid.data.splits import load_data
from examples.rfmid.settings import Config


def prepare(config: Config) -> None:
    """Decode and resize every photograph that the cache on disk lacks, for ``--cache disk``.

    Parameters
    ----------
    config
        Settings; those of the data, the images and the runtime count.

    Raises
    ------
    RecipeError
        On bad data, an image that can't be decoded, or a cache that can't be written.
    """
    data = load_data(config.data)
    config = replace(config, runtime=replace(config.runtime, cache="disk"))
    started = time.monotonic()
    sizes = []
    for name, split in data.splits.items():
        images = open_images(config, split, name)
        sizes.append(f"{len(images)} {name}")
    seconds = time.monotonic() - started
    print(f"{', '.join(sizes)} images are cached ({seconds:.0f} s); train with --cache disk")
