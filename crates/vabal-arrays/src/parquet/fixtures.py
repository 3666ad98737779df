"""Makes the files of fixtures/ with pyarrow, each of the same table in other encodings: python fixtures.py"""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

N = 50
folder = Path(__file__).parent / "fixtures"
folder.mkdir(exist_ok=True)

feature = lambda row, j: (row * 7 + j * 5) % 32 / 4 - 3
features = [[feature(row, j) for j in range(4)] for row in range(N)]
probs = [[0.25 + row % 8 / 16, 0.75 - row % 8 / 16] for row in range(N)]
draws = [[[p, q], [q, p], [p, q]] for p, q in probs]


def table(features_type, id_type, ids):
    return pa.table({
        "id": pa.array(ids, id_type),
        "label": pa.array([row % 3 - 1 for row in range(N)], pa.int64()),
        "features": pa.array(features, features_type),
        "probs": pa.array(probs, pa.list_(pa.float64())),
        "mc_probs": pa.array(draws, pa.list_(pa.list_(pa.float32()))),
        "sure": pa.array([row % 4 == 0 for row in range(N)], pa.bool_()),
        "other": pa.array([{"a": row, "b": "x"} for row in range(N)]),
    })


texts = [f"img/{row:03}.png" for row in range(N)]
numbers = [row * 3 for row in range(N)]
lists = pa.list_(pa.float32())
plain = table(lists, pa.string(), texts)
write = lambda name, table, **more: pq.write_table(table, folder / f"{name}.parquet", **more)
write("snappy", plain)
write("zstd", table(pa.list_(pa.float16(), 4), pa.uint32(), numbers), compression="zstd")
write("gzip", table(pa.list_(pa.float64(), 4), pa.int32(), numbers), compression="gzip", row_group_size=20)
write("plain", plain, compression="none", use_dictionary=False, data_page_size=64, write_batch_size=8)
write("second", plain, data_page_version="2.0", data_page_size=64, write_batch_size=8)
write("delta", table(lists, pa.uint64(), numbers), use_dictionary=False, data_page_version="2.0", column_encoding={
    "id": "DELTA_BINARY_PACKED", "label": "DELTA_BINARY_PACKED", "features.list.element": "BYTE_STREAM_SPLIT",
    "probs.list.element": "BYTE_STREAM_SPLIT"})
write("lengths", plain, use_dictionary=False, column_encoding={"id": "DELTA_LENGTH_BYTE_ARRAY"})
write("prefixes", plain, use_dictionary=False, column_encoding={"id": "DELTA_BYTE_ARRAY", "sure": "RLE"})
write("brotli", plain, compression="brotli")
write("lz4", plain, compression="lz4", data_page_version="2.0")
uneven = pa.array([[1.0, 2.0]] * 9 + [[1.0], [1.0, 2.0, 3.0]], lists)
holes = pa.array([0, 1, None] + [1] * 8, pa.int64())
probs = pa.array([[1.0]] * 10 + [[1.0] * 3], lists)
empty = pa.array([[1.0, 2.0]] * 4 + [None] + [[1.0, 2.0]] * 5 + [[1.0] * 3], lists)
dates = pa.array(range(11), pa.timestamp("ms"))
prices = pa.array(range(11), pa.decimal128(9, 2))
columns = {"features": uneven, "label": holes, "probs": probs, "empty": empty, "date": dates, "price": prices}
write("uneven", pa.table(columns))
