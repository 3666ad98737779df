"""Features of images by a pretrained network."""

from __future__ import annotations

import importlib.util
import itertools
import json
import os
import statistics
from collections.abc import Iterable, Iterator, Sequence, Sized
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from . import _vabal
from ._progress import Callback, telling

_IMAGES, _BYTES = 1024, 1 << 28
"""Images that are in memory at a time, at most, and their bytes."""


def embed(
    images: Iterable[Any],
    backbone: str | os.PathLike[str] = "auto",
    *,
    size: int | None = None,
    layout: Literal["nchw", "nhwc"] | None = None,
    output: str | None = None,
    pooling: Literal["none", "mean", "class"] | None = None,
    mean: float | Sequence[float] | None = None,
    std: float | Sequence[float] | None = None,
    runtime: Literal["rten", "onnxruntime"] = "rten",
    progress: bool | Callback | None = None,
) -> npt.NDArray[np.float32]:
    """Features of images [n, d], float32, by a pretrained network: a row for each image, in their order.

    An image is an array of uint8, [h, w] or [h, w, c] with channels last (grey, grey and alpha, RGB, RGBA), an
    image of Pillow, or a path, which Pillow opens. All of them as one array [n, h, w] or [n, h, w, c], a list, or
    any iterable, which is gone through once; sizes may differ. The row of an image is the same whatever images are
    beside it and however many threads there are, and the same as `vabal embed` gives but for its rounding to
    float16.

    Args:
        backbone: "auto" or "efficientnet-lite0" for the network inside the package (ImageNet, Apache-2.0, 1,280
            features), or an ONNX file. What follows is read from the file where it is not given:
        size: height and width of its input in pixels; 224, or what suits the images if it is the package's.
        layout: whether its input has the channels first or last.
        output: the value to take as features; before the classifier's last layer if not given.
        pooling: how several vectors of an image become one.
        mean, std: of red, green and blue, of values from 0 to 1; ImageNet's if nobody says.
        runtime: "rten" is inside the package; "onnxruntime" is the installed one, some twice as fast.
        progress: True for a bar (tqdm), or a callable.

    >>> import numpy as np, vabal
    >>> images = np.random.default_rng(0).integers(0, 256, (4, 32, 32, 3), dtype=np.uint8)
    >>> vabal.embed(images, size=64).shape
    (4, 1280)
    """
    library = None
    if runtime == "onnxruntime":
        library = _library()
    elif runtime != "rten":
        raise ValueError(f'runtime= is "rten" or "onnxruntime"\n  got: {runtime!r}')
    given = {"size": size, "layout": layout, "output": output, "pooling": pooling}
    settings = json.dumps({**given, "mean": _colours("mean", mean), "std": _colours("std", std)})
    total = len(images) if isinstance(images, Sized) else 0
    rows: list[npt.NDArray[np.float32]] = []
    network, done = None, 0
    with telling(progress) as tell:
        for some in _batches(_each(images)):
            if network is None:
                side = int(statistics.median(max(image.shape[:2]) for image in some))
                network = _vabal.Backbone(os.fspath(backbone), settings, side, library)
            found = network.features(some, done, total, tell)
            rows.append(np.frombuffer(found, np.float32).reshape(len(some), -1))
            done += len(some)
    if not rows:
        raise ValueError("there is no image\n  hint: an iterator is empty once it was gone through")
    return np.concatenate(rows)


def _each(images: Iterable[Any]) -> Iterator[npt.NDArray[np.uint8]]:
    """Every image as [h, w, c]."""
    if isinstance(images, (str, bytes, os.PathLike)):
        raise TypeError(
            f"images= is one path\n  expected: images, or paths of images\n  got: {images!r}\n"
            "  hint: sorted(pathlib.Path(folder).glob('*.jpg')); `vabal embed DIR` takes a whole folder"
        )
    for place, image in enumerate(images):
        yield _one(image, f"image {place}")


def _one(image: Any, where: str) -> npt.NDArray[np.uint8]:
    if isinstance(image, (str, os.PathLike)):
        image = _open(image)
    if hasattr(image, "getexif") and hasattr(image, "convert"):
        image = _pillow(image)
    if hasattr(image, "detach"):
        image = image.detach().cpu()
    array = np.asarray(image)
    if array.dtype != np.uint8:
        raise TypeError(
            f"{where} is not of uint8\n  expected: values from 0 to 255, of uint8\n  got: {array.dtype}\n"
            "  hint: (255 * image).astype(np.uint8), if they go from 0 to 1"
        )
    if array.ndim == 2:
        array = array[:, :, None]
    if array.ndim != 3 or not 1 <= array.shape[2] <= 4 or 0 in array.shape:
        hint = ""
        if array.ndim == 3 and array.shape[0] in (1, 3):
            hint = "\n  hint: channels come last: image.transpose(1, 2, 0)"
        raise ValueError(
            f"{where} has no shape of an image\n  expected: [h, w] or [h, w, c] with 1 to 4 channels\n"
            f"  got: {list(np.shape(image))}{hint}"
        )
    return np.ascontiguousarray(array)


def _open(path: str | os.PathLike[str]) -> Any:
    try:
        from PIL import Image
    except ImportError as error:
        raise ModuleNotFoundError(
            f"Pillow opens images, and is not installed\n  got: {path!r}\n  hint: pip install pillow", name="PIL"
        ) from error
    return Image.open(path)


def _pillow(image: Any) -> Any:
    """Upright, and with values that are colours."""
    from PIL import ImageOps

    image = ImageOps.exif_transpose(image)
    if image.mode in ("L", "LA", "RGB", "RGBA"):
        return image
    if image.mode.startswith("I") or image.mode == "F":
        raise TypeError(
            f"an image of Pillow has more than 8 bits\n  got: mode {image.mode}\n"
            "  hint: bring its values to 0 to 255: PIL.Image.fromarray((np.asarray(image) / 256).astype(np.uint8))"
        )
    return image.convert("RGBA" if image.has_transparency_data else "RGB")


def _batches(images: Iterator[npt.NDArray[np.uint8]]) -> Iterator[list[npt.NDArray[np.uint8]]]:
    """Lists of images that may be in memory together."""
    for first in images:
        batch, size = [first], first.nbytes
        for image in itertools.islice(images, _IMAGES - 1):
            batch.append(image)
            size += image.nbytes
            if size >= _BYTES:
                break
        yield batch


def _colours(name: str, values: float | Sequence[float] | None) -> list[float] | None:
    if values is None:
        return None
    array = np.asarray(values, dtype=np.float64)
    if array.shape not in ((), (3,)) or not np.isfinite(array).all():
        raise ValueError(f"{name}= is a number, or one for each of red, green and blue\n  got: {values!r}")
    return [float(value) for value in np.broadcast_to(array, 3)]


def _library() -> str:
    """The shared library of the installed ONNX Runtime."""
    given = os.environ.get("VABAL_ONNXRUNTIME")
    if given:
        return given
    found = importlib.util.find_spec("onnxruntime")
    folders = list(found.submodule_search_locations or []) if found else []
    for folder in folders:
        for pattern in ("libonnxruntime.so*", "libonnxruntime*.dylib", "onnxruntime.dll"):
            for path in sorted(Path(folder, "capi").glob(pattern)):
                return str(path)
    raise ModuleNotFoundError(
        "ONNX Runtime is not installed\n  hint: pip install onnxruntime, or leave runtime= out", name="onnxruntime"
    )
