"""Makes the embedded demo set again from the official Fashion-MNIST files.

    vabal fetch fashion-mnist
    python3 scripts/demo_set.py FOLDER_OF_THE_FOUR_GZ_FILES

Takes the first 600 images of each class of the training files and the first 100 of each class of the
test files, in their order, and writes four gzipped IDX files to crates/vabal-demo/data. Needs
nothing but Python 3.
"""

import gzip
import struct
import sys
from pathlib import Path

OUT = Path(__file__).parent.parent / "crates/vabal-demo/data"


def main(folder: Path) -> None:
    for split, per_class in ("train", 600), ("t10k", 100):
        images_name, labels_name = f"{split}-images-idx3-ubyte.gz", f"{split}-labels-idx1-ubyte.gz"
        images = gzip.decompress((folder / images_name).read_bytes())
        labels = gzip.decompress((folder / labels_name).read_bytes())[8:]
        _, count, rows, columns = struct.unpack(">4I", images[:16])
        assert count == len(labels), "images and labels differ in number"
        size = rows * columns
        taken = dict.fromkeys(range(10), 0)
        rows_kept = []
        for row, label in enumerate(labels):
            if taken[label] < per_class:
                taken[label] += 1
                rows_kept.append(row)
        n = len(rows_kept)
        assert n == 10 * per_class, "a class has too few images"
        pixels = b"".join(images[16 + size * row : 16 + size * (row + 1)] for row in rows_kept)
        write(images_name, struct.pack(">4I", 0x803, n, rows, columns) + pixels)
        write(labels_name, struct.pack(">2I", 0x801, n) + bytes(labels[row] for row in rows_kept))


def write(name: str, content: bytes) -> None:
    # mtime=0, so that the same input gives the same bytes.
    (OUT / name).write_bytes(gzip.compress(content, 9, mtime=0))


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(Path(sys.argv[1]))
