#!/usr/bin/env python3
"""Keeps inputs of all sizes of a corpus for the replay test: pack.py CORPUS TARGET [MOST_INPUTS]"""
import gzip, pathlib, struct, sys

MOST_BYTES = 32 << 10
corpus, target = pathlib.Path(sys.argv[1]), sys.argv[2]
most = int(sys.argv[3]) if len(sys.argv) > 3 else 150
inputs = sorted((path.read_bytes() for path in corpus.iterdir()), key=lambda data: (len(data), data))


def packed(count):
    kept = [inputs[number * len(inputs) // count] for number in range(count)]
    data = b"".join(struct.pack("<I", len(data)) + data for data in kept)
    return gzip.compress(data, 9, mtime=0)


count = min(most, len(inputs))
while len(packed(count)) > MOST_BYTES:
    count -= 1 + count // 20
folder = pathlib.Path(__file__).parent.parent / "fixtures" / "fuzz-corpus"
(folder / f"{target}.pack.gz").write_bytes(packed(count))
print(f"{target}: {count} of {len(inputs)} inputs, {len(packed(count))} bytes")
