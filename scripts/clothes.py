#!/usr/bin/env python3
"""The folder of images that docs/guide.md labels: 600 clothes of the embedded set, half of them boots, and 50 more to predict.

    python3 scripts/clothes.py FOLDER        # FOLDER/photos, FOLDER/new-photos, FOLDER/truth.json

Their names say nothing; truth.json says what each is.
"""

import gzip
import json
import pathlib
import random
import struct
import sys
import zlib

DEMO = pathlib.Path(__file__).resolve().parent.parent / "crates/vabal-demo/data"
# Class of Fashion-MNIST, name, how many.
CLASSES = [(9, "boot", 300), (8, "bag", 120), (5, "sandal", 90), (3, "dress", 60), (1, "trousers", 30)]
NEW = 10
SIDE = 28


def png(pixels):
    """A grey image of 28 × 28 pixels."""
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    lines = b"".join(b"\0" + pixels[start:start + SIDE] for start in range(0, SIDE * SIDE, SIDE))
    head = struct.pack(">IIBBBBB", SIDE, SIDE, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(lines)) + chunk(b"IEND", b"")


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    folder = pathlib.Path(sys.argv[1])
    labels = gzip.decompress((DEMO / "train-labels-idx1-ubyte.gz").read_bytes())[8:]
    images = gzip.decompress((DEMO / "train-images-idx3-ubyte.gz").read_bytes())[16:]
    draw = random.Random(7)
    photos, new = [], []
    for label, _, count in CLASSES:
        rows = [row for row, of in enumerate(labels) if of == label]
        draw.shuffle(rows)
        photos += rows[:count]
        new += rows[count:count + NEW]
    draw.shuffle(photos)
    draw.shuffle(new)
    names = {label: name for label, name, _ in CLASSES}
    truth = {}
    for place, prefix, width, rows in (("photos", "img", 4, photos), ("new-photos", "new", 3, new)):
        (folder / place).mkdir(parents=True)
        for number, row in enumerate(rows, 1):
            name = f"{place}/{prefix}_{number:0{width}}.png"
            (folder / name).write_bytes(png(images[row * SIDE * SIDE:(row + 1) * SIDE * SIDE]))
            truth[name] = names[labels[row]]
    (folder / "truth.json").write_text(json.dumps(truth, indent=1))


if __name__ == "__main__":
    main()
