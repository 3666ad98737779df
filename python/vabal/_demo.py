"""Images to try things on, without a download."""

from __future__ import annotations

import gzip
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from . import _vabal

_CLASSES = (
    "T-shirt/top",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
)


class Demo(NamedTuple):
    """Images, their labels and what the classes are called."""

    images: npt.NDArray[np.uint8]
    """[n, 1, 28, 28]"""
    labels: npt.NDArray[np.int64]
    """[n], 0 to 9"""
    classes: list[str]
    """[10]"""


def demo(part: Literal["pool", "test"] = "pool") -> Demo:
    """A subset of Fashion-MNIST (© 2017 Zalando SE, MIT): a pool of 600 images of each class, a test set of 100.

    >>> images, labels, classes = demo()
    >>> images.shape, classes[labels[0]]
    ((6000, 1, 28, 28), 'Ankle boot')
    """
    if part not in ("pool", "test"):
        raise ValueError(f'part= is "pool" or "test"\n  got: {part!r}')
    images, labels = map(gzip.decompress, _vabal.demo(part == "test"))
    # IDX: a header of 16 bytes before images, of 8 before labels; then the values.
    pixels = np.frombuffer(bytearray(images), np.uint8, offset=16).reshape(-1, 1, 28, 28)
    return Demo(pixels, np.frombuffer(labels, np.uint8, offset=8).astype(np.int64), list(_CLASSES))
