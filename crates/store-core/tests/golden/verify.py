#!/usr/bin/env python3
"""Checks image documents without the code that wrote them: `verify.py FILE...`, where `-` is standard input.

It recomputes `structuralHash`, the BLAKE3 hash of the canonical JSON (RFC 8785) of `dagSpec`, and `checksum`, that of
everything else in the document. Python's `json.dumps` writes canonical JSON here, because
* keys are sorted by code points, where RFC 8785 sorts by UTF-16 units: the same below U+10000, and keys are ASCII;
* strings are escaped in the same way, with `ensure_ascii=False`;
* numbers are integers below 2^53, which is checked, so that both print them alike.
"""

import json
import struct
import sys
from pathlib import Path

IV = [0x6A09E667, 0xBB67AE85, 0x3C6EF372, 0xA54FF53A, 0x510E527F, 0x9B05688C, 0x1F83D9AB, 0x5BE0CD19]
PERMUTATION = [2, 6, 3, 10, 7, 0, 4, 13, 1, 11, 12, 5, 9, 14, 15, 8]
CHUNK_START, CHUNK_END, PARENT, ROOT = 1, 2, 4, 8


def compress(chaining, words, counter, length, flags):
    """One block of 64 bytes; the first eight words of the result."""
    v = chaining + IV[:4] + [counter & 0xFFFFFFFF, counter >> 32, length, flags]

    def mix(a, b, c, d, x, y):
        for word, first, second in ((x, 16, 12), (y, 8, 7)):
            v[a] = (v[a] + v[b] + word) & 0xFFFFFFFF
            v[d] = rotate(v[d] ^ v[a], first)
            v[c] = (v[c] + v[d]) & 0xFFFFFFFF
            v[b] = rotate(v[b] ^ v[c], second)

    for _ in range(7):
        for i in range(4):
            mix(i, 4 + i, 8 + i, 12 + i, words[2 * i], words[2 * i + 1])
        for i in range(4):
            mix(i, 4 + (i + 1) % 4, 8 + (i + 2) % 4, 12 + (i + 3) % 4, words[8 + 2 * i], words[9 + 2 * i])
        words = [words[i] for i in PERMUTATION]
    return [v[i] ^ v[i + 8] for i in range(8)]


def rotate(word, count):
    return (word >> count | word << (32 - count)) & 0xFFFFFFFF


def chunk(data, counter, root):
    """A leaf of the tree: at most 1024 bytes, in blocks of 64."""
    blocks = [data[i : i + 64] for i in range(0, len(data), 64)] or [b""]
    chaining = IV
    for i, block in enumerate(blocks):
        flags = (CHUNK_START if i == 0 else 0) | ((CHUNK_END | root) if i == len(blocks) - 1 else 0)
        words = list(struct.unpack("<16I", block.ljust(64, b"\0")))
        chaining = compress(chaining, words, counter, len(block), flags)
    return chaining


def subtree(data, counter, root):
    """The left part of a tree is the greatest power of two of whole chunks that leaves something to the right."""
    if len(data) <= 1024:
        return chunk(data, counter, root)
    chunks = 1 << (((len(data) - 1) // 1024).bit_length() - 1)
    left = subtree(data[: chunks * 1024], counter, 0)
    right = subtree(data[chunks * 1024 :], counter + chunks, 0)
    return compress(IV, left + right, 0, 64, PARENT | root)


def blake3(data):
    return struct.pack("<8I", *subtree(data, 0, ROOT)).hex()


# Of the published test vectors: the first bytes of 0, 1, ..., 250, 0, 1, ...
VECTORS = {
    0: "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262",
    1: "2d3adedff11b61f14c886e35afa036736dcd87a74d27b5c1510225d0f592e213",
    65: "de1e5fa0be70df6d2be8fffd0e99ceaa8eb6e8c93a63f2d8d1c30ecb6b263dee",
    1023: "10108970eeda3eb932baac1428c7a2163b0e924c9a9e25b35bba72b28f70bd11",
    1024: "42214739f095a406f3fc83deb889744ac00df831c10daa55189b5d121c855af7",
    1025: "d00278ae47eb27b34faecf67b4fe263f82d5412916c1ffd97c8cb7fb814b8444",
    2048: "e776b6028c7cd22a4d0ba182a8bf62205d2ef576467e838ed6f2529b85fba24a",
    2049: "5f4d72f40d7a5f82b15ca2b2e44b1de3c2ef86c426c95c1af0b6879522563030",
    8193: "bab6c09cb8ce8cf459261398d2e7aef35700bf488116ceb94a36d0f5f1b7bc3b",
}


def unique(pairs):
    keys = [key for key, _ in pairs]
    if len(keys) != len(set(keys)):
        raise ValueError(f"duplicate key among {keys}")
    return dict(pairs)


def integer(text):
    if abs(int(text)) >= 1 << 53:
        raise ValueError(f"the number {text} is not below 2^53")
    return int(text)


def no_float(text):
    raise ValueError(f"the number {text} is not an integer")


def canonical_hash(value):
    return blake3(json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode())


def verify(data):
    document = json.loads(data, object_pairs_hook=unique, parse_int=integer, parse_float=no_float)
    for name, expected, actual in (
        ("checksum", document.pop("checksum"), canonical_hash(document)),
        ("structuralHash", document["structuralHash"], canonical_hash(document["dagSpec"])),
    ):
        if expected != actual:
            raise ValueError(f"{name} is {expected}, but the content has {actual}")
    return document["structuralHash"]


def main():
    for length, expected in VECTORS.items():
        assert blake3(bytes(i % 251 for i in range(length))) == expected, f"BLAKE3 of {length} bytes"
    for argument in sys.argv[1:]:
        path = Path(argument)
        data = sys.stdin.buffer.read() if argument == "-" else path.read_bytes()
        try:
            print(verify(data), path.name)
        except (ValueError, KeyError) as error:
            sys.exit(f"{argument}: {error}")


if __name__ == "__main__":
    main()
