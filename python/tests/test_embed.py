"""Features of images by a pretrained network."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

import vabal

SIZE: dict[str, Any] = {"size": 64}
RUNTIMES: tuple[Literal["rten", "onnxruntime"], ...] = ("rten", "onnxruntime")


def pictures(n: int = 5, channels: int = 3) -> npt.NDArray[np.uint8]:
    """Smooth and all different."""
    at = np.arange(40)
    values = 60 * np.arange(n)[:, None, None, None] + at[:, None, None] * at[:, None] + 50 * np.arange(channels)
    return (values % 256).astype(np.uint8)


def test_a_row_is_the_same_whatever_is_beside_its_image() -> None:
    images = pictures()
    features = vabal.embed(images, **SIZE)
    assert features.shape == (5, 1280) and features.dtype == np.float32 and np.ptp(features, axis=0).max() > 0.1
    for other in (list(images), iter(images), np.asfortranarray(images)):
        np.testing.assert_array_equal(vabal.embed(other, **SIZE), features)
    np.testing.assert_array_equal(vabal.embed(images[::-1], **SIZE), features[::-1])
    np.testing.assert_array_equal(vabal.embed(images[2:3], **SIZE), features[2:3])
    larger = [np.repeat(image, 2, axis=0) for image in images[:1]]
    mixed = vabal.embed([*larger, *images[1:]], **SIZE)
    np.testing.assert_array_equal(mixed[1:], features[1:])


def test_the_package_s_network_takes_the_size_that_suits_the_images() -> None:
    images = pictures(2)
    np.testing.assert_array_equal(vabal.embed(images), vabal.embed(images, "efficientnet-lite0", size=160))


def test_grey_and_colour_are_the_same_image() -> None:
    grey = pictures(2, 1)
    expected = vabal.embed(np.repeat(grey, 3, axis=3), **SIZE)
    opaque = np.concatenate([np.repeat(grey, 3, axis=3), np.full_like(grey, 255)], axis=3)
    for images in (grey, grey[..., 0], np.concatenate([grey, np.full_like(grey, 255)], axis=3), opaque):
        np.testing.assert_array_equal(vabal.embed(images, **SIZE), expected)


def test_images_of_pillow_are_upright_and_their_values_colours(tmp_path: Path) -> None:
    pixels = pictures(1)[0][:30]
    expected = vabal.embed([pixels], **SIZE)
    image = Image.fromarray(pixels)
    np.testing.assert_array_equal(vabal.embed([image], **SIZE), expected)
    # On its side, and told so by EXIF.
    exif = Image.Exif()
    exif[0x0112] = 6
    path = tmp_path / "side.png"
    image.transpose(Image.Transpose.ROTATE_90).save(path, exif=exif)
    for images in ([Image.open(path)], [path], [str(path)]):
        np.testing.assert_array_equal(vabal.embed(images, **SIZE), expected)
    # A palette's numbers are not its colours.
    palette = image.quantize(256)
    np.testing.assert_array_equal(vabal.embed([palette], **SIZE), vabal.embed([palette.convert("RGB")], **SIZE))
    with pytest.raises(TypeError, match="more than 8 bits"):
        vabal.embed([Image.fromarray(np.zeros((4, 4), np.int32))])


def test_tensors_go_in() -> None:
    torch = pytest.importorskip("torch")
    images = pictures(2)
    np.testing.assert_array_equal(vabal.embed(torch.from_numpy(images), **SIZE), vabal.embed(images, **SIZE))


def test_onnx_runtime_gives_the_same_features() -> None:
    images = pictures()
    rten, ort = (vabal.embed(images, runtime=runtime, **SIZE) for runtime in RUNTIMES)
    assert 0 < np.abs(rten - ort).max() < 1e-4 * np.abs(rten).max()


def test_progress_and_stopping() -> None:
    heard: list[vabal.Progress] = []
    vabal.embed(pictures(40), progress=heard.append, **SIZE)
    assert (heard[-1].phase, heard[-1].done, heard[-1].total, heard[-1].unit) == ("embed", 40, 40, "image")

    def stop(_event: vabal.Progress) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        vabal.embed(pictures(40), progress=stop, **SIZE)


@pytest.mark.parametrize(
    ("images", "error", "text"),
    [
        ("photos", TypeError, "one path.*vabal embed DIR"),
        (["no-such.png"], FileNotFoundError, "no-such.png"),
        (pictures(2).transpose(0, 3, 1, 2), ValueError, r"image 0 .*channels come last"),
        (pictures(2) / np.float32(255), TypeError, "not of uint8"),
        (np.zeros((2, 5), np.uint8), ValueError, "no shape of an image"),
        ([np.zeros((3, 3), np.uint8), np.zeros((0, 3), np.uint8)], ValueError, "image 1 has no shape"),
        (iter([]), ValueError, "there is no image"),
    ],
)
def test_what_is_no_image_is_told(images: Any, error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=f"(?s){text}"):
        vabal.embed(images, **SIZE)


def test_what_is_no_backbone_is_told(tmp_path: Path) -> None:
    images = pictures(1)
    with pytest.raises(ValueError, match="(?s)unknown backbone.*efficientnet-lite0"):
        vabal.embed(images, "efficientnet")
    broken = tmp_path / "broken.onnx"
    with pytest.raises(FileNotFoundError):
        vabal.embed(images, broken)
    broken.write_bytes(b"no network")
    with pytest.raises(ValueError, match="this backbone cannot be used"):
        vabal.embed(images, broken)
    settings: list[tuple[dict[str, Any], str]] = [
        ({"size": 3}, "size"),
        ({"std": 0.0}, "std"),
        ({"output": "nowhere"}, "nowhere"),
        ({"pooling": "mean"}, "pooling"),
        ({"pooling": "max"}, "max"),
        ({"mean": [1, 2]}, "mean="),
        ({"runtime": "torch"}, "runtime="),
    ]
    for wrong, text in settings:
        with pytest.raises(ValueError, match=text):
            vabal.embed(images, **wrong)
