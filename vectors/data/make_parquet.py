"""Writes the Parquet files of this folder with pyarrow, each with its rows as JSON. Run it in this folder."""

import json

import pyarrow as pa
import pyarrow.parquet as pq

CHATS = [
    {
        "conversations": [
            {"from": "human", "value": f"Frage {i} 你好"},
            {"from": "gpt", "value": f"Antwort {i}\n\"¾\""},
        ],
        "id": i,
        "score": i / 4,
        "tags": [] if i % 2 else ["a", "b"],
        "source": None if i % 3 else {"name": "x", "year": 2024},
    }
    for i in range(40)
]
PAIRS = [{"prompt": f"p{i}" * (i % 7), "completion": f" c{i}", "big": 2**40 + i} for i in range(500)]
TEXTS = [{"text": f"line {i} " + "word " * (i % 50)} for i in range(300)]


def write(name: str, rows: list, **options: object) -> None:
    pq.write_table(pa.Table.from_pylist(rows), f"{name}.parquet", **options)
    with open(f"{name}.expected.json", "w", encoding="utf-8") as file:
        json.dump(rows, file, ensure_ascii=False)
        file.write("\n")


write("chats-snappy", CHATS, compression="snappy")
write("pairs-zstd-groups", PAIRS, compression="zstd", row_group_size=64)
write("texts-gzip", TEXTS, compression="gzip", data_page_size=512, write_page_index=True)
pq.write_table(pa.table({"text": pa.array(["a"]), "n": pa.array([2**60], pa.int64())}), "int64-too-large.parquet")
pq.write_table(pa.table({"text": pa.array([b"\xff\xfe"], pa.binary())}), "bytes.parquet")
