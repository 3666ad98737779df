"""Images to try things on, without a download."""

from __future__ import annotations

from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from . import _vabal


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
    pixels, labels, shape, classes = _vabal.demo(part == "test")
    images = np.frombuffer(bytearray(pixels), np.uint8).reshape(shape)
    return Demo(images, np.array(labels, dtype=np.int64), classes)
