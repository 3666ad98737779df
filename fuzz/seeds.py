"""Writes the first inputs of every target: small files as programs write them, from which the fuzzer goes on.

    python3 fuzz/seeds.py FOLDER

Nothing but Python 3.11.
"""

import io
import json
import pathlib
import struct
import sys
import zipfile
import zlib


def npy(dtype, shape, values):
    header = f"{{'descr': '{dtype}', 'fortran_order': False, 'shape': {shape}, }}"
    header += " " * (-(len(header) + 11) % 64) + "\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header.encode() + values


def npz(method):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as archive:
        archive.writestr("features.npy", npy("<f4", (2, 3), struct.pack("<6f", *range(6))))
        archive.writestr("ids.npy", npy("<U3", (2,), "abcdef".encode("utf-32-le")))
    return file.getvalue()


def safetensors():
    header = json.dumps({"a": {"dtype": "F32", "shape": [2, 2], "data_offsets": [0, 16]}, "__metadata__": {"k": "v"}}).encode()
    return struct.pack("<Q", len(header)) + header + struct.pack("<4f", *range(4))


def png():
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    rows = b"".join(b"\0" + bytes(range(12)) for _ in range(4))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", 4, 4, 8, 2, 0, 0, 0)) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def bmp():
    pixels = bytes(4 * 4 * 3)
    return b"BM" + struct.pack("<IHHI", 54 + len(pixels), 0, 0, 54) + struct.pack("<IiiHHIIiiII", 40, 4, 4, 1, 24, 0, len(pixels), 0, 0, 0, 0) + pixels


def tiff():
    entries = [(256, 3, 1, 2), (257, 3, 1, 2), (258, 3, 1, 8), (259, 3, 1, 1), (262, 3, 1, 1), (273, 4, 1, 122), (277, 3, 1, 1), (278, 3, 1, 2), (279, 4, 1, 4)]
    directory = struct.pack("<H", len(entries)) + b"".join(struct.pack("<HHII", *entry) for entry in entries) + struct.pack("<I", 0)
    return b"II*\0" + struct.pack("<I", 8) + directory + bytes(4)


def field(number, wire, value):
    return bytes([number << 3 | wire]) + value


def onnx():
    text = lambda number, value: field(number, 2, bytes([len(value)]) + value)
    node = text(1, b"x") + text(2, b"y") + text(4, b"Relu")
    dims = b"".join(text(1, field(1, 0, bytes([n]))) for n in (1, 3, 8, 8))
    kind = text(1, field(1, 0, b"\x01") + text(2, dims))
    graph = text(1, node) + text(2, b"g") + text(11, text(1, b"x") + text(2, kind)) + text(12, text(1, b"y") + text(2, kind))
    return field(1, 0, b"\x08") + text(7, graph) + text(8, field(2, 0, b"\x0d"))


SEEDS = {
    "npy": [npy("<f4", (2, 3), bytes(24)), npy(">f8", (3,), bytes(24)), npy("<U2", (2,), bytes(16)), npy("|O", (2,), bytes(16))],
    "npz": [npz(zipfile.ZIP_STORED), npz(zipfile.ZIP_DEFLATED)],
    "safetensors": [safetensors()],
    "parquet": [b"PAR1" + bytes(8) + b"PAR1"],
    "csv": [b"path,class,split\na.png,one,train\nb.png,\"two, or three\",holdout\n", "﻿path;class\na;é\n".encode()],
    "json_lines": [b'{"path": "a.png", "class": "one"}\n{"path": "b.png", "class": "two", "time": 1}\n'],
    "label_studio": [json.dumps([{"id": 1, "data": {"image": "/data/a.png"}, "annotations": [
        {"result": [{"from_name": "c", "to_name": "i", "type": "choices", "value": {"choices": ["one"]}}]}]}]).encode()],
    "cifar": [bytes(3073), bytes([9]) * 6146],
    "idx": [struct.pack(">IIII", 0x803, 1, 2, 2) + bytes(4), struct.pack(">II", 0x801, 4) + bytes(4)],
    "image": [png(), bmp(), tiff(), b"\xff\xd8\xff\xe0\0\x10JFIF\0\x01\x01\0\0\x01\0\x01\0\0\xff\xd9", b"RIFF\x1a\0\0\0WEBPVP8L\x0d\0\0\0\x2f\0\0\0\x10\x07\x10\x11\x11\x88\x88\xfe\x07\0"],
    "onnx": [onnx()],
    "toml": [b'preset = "quick"\nstrategies = ["random", "vabal"]\nseeds = [1]\n[rounds]\nbudget = 5\n[data]\nkind = "demo"\n[strategy.vabal]\nridge = 0.5\n'],
    "plan": [safetensors()],
    "http": [b"GET /api/project HTTP/1.1\r\n\r\n", b"GET /api/images?limit=5&order=name HTTP/1.1\r\nAccept: */*\r\n\r\n",
             b'POST /api/answers HTTP/1.1\r\nContent-Type: application/json\r\nContent-Length: 33\r\n\r\n{"person":"a","token":"b","answers":[]}'],
}

if __name__ == "__main__":
    for target, seeds in SEEDS.items():
        folder = pathlib.Path(sys.argv[1]) / target
        folder.mkdir(parents=True, exist_ok=True)
        for number, seed in enumerate(seeds):
            (folder / f"seed-{number}").write_bytes(seed)
