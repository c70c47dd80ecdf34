"""Writes vectors.json, the one file of expected digests that every hashing engine must reproduce.

Nothing of Chopmark takes part: SHA-256 comes from hashlib, BLAKE3 roots from the PyPI package `blake3`, and chaining
values (which that package cannot give) from the plain recursion below, written after the BLAKE3 paper, section 2, and
checked against the package's roots before anything is written. Run: pip install blake3==1.0.11 && python3 vectors.py
"""

import hashlib
import json
import pathlib

import blake3

IV = (0x6A09E667, 0xBB67AE85, 0x3C6EF372, 0xA54FF53A, 0x510E527F, 0x9B05688C, 0x1F83D9AB, 0x5BE0CD19)
PERMUTATION = (2, 6, 3, 10, 7, 0, 4, 13, 1, 11, 12, 5, 9, 14, 15, 8)
CHUNK_START, CHUNK_END, PARENT, ROOT = 1, 2, 4, 8
CHUNK_SIZE_BYTES = 1024
MIB = 1 << 20


def compress(chaining, words, counter, length, flags):
    v = [*chaining, *IV[:4], counter & 0xFFFFFFFF, counter >> 32, length, flags]

    def mix(a, b, c, d, x, y):
        for first, second, word in ((16, 12, x), (8, 7, y)):
            v[a] = (v[a] + v[b] + word) & 0xFFFFFFFF
            v[d] ^= v[a]
            v[d] = (v[d] >> first | v[d] << 32 - first) & 0xFFFFFFFF
            v[c] = (v[c] + v[d]) & 0xFFFFFFFF
            v[b] ^= v[c]
            v[b] = (v[b] >> second | v[b] << 32 - second) & 0xFFFFFFFF

    for _ in range(7):
        for column in range(4):
            mix(column, column + 4, column + 8, column + 12, words[2 * column], words[2 * column + 1])
        for i in range(4):
            mix(i, (i + 1) % 4 + 4, (i + 2) % 4 + 8, (i + 3) % 4 + 12, words[8 + 2 * i], words[9 + 2 * i])
        words = [words[i] for i in PERMUTATION]
    return [v[i] ^ v[i + 8] for i in range(8)]


def words_of(block):
    block = block.ljust(64, b"\0")
    return [int.from_bytes(block[i : i + 4], "little") for i in range(0, 64, 4)]


def chunk(data, counter, root):
    blocks = [data[i : i + 64] for i in range(0, len(data), 64)] or [b""]
    chaining = list(IV)
    for i, block in enumerate(blocks):
        flags = CHUNK_START * (i == 0) | (i == len(blocks) - 1) * (CHUNK_END | ROOT * root)
        chaining = compress(chaining, words_of(block), counter, len(block), flags)
    return chaining


def subtree(data, counter, root=False):
    if len(data) <= CHUNK_SIZE_BYTES:
        return chunk(data, counter, root)
    left_size = CHUNK_SIZE_BYTES
    while left_size * 2 < len(data):
        left_size *= 2
    left = subtree(data[:left_size], counter)
    right = subtree(data[left_size:], counter + left_size // CHUNK_SIZE_BYTES)
    return compress(IV, left + right, 0, 64, PARENT | ROOT * root)


def hexadecimal(chaining):
    return b"".join(word.to_bytes(4, "little") for word in chaining).hex()


def pattern(size):
    return (bytes(range(251)) * (size // 251 + 1))[:size]


def file_vector(size):
    data = pattern(size)
    root = blake3.blake3(data).hexdigest()
    if size <= 5 * MIB:
        assert hexadecimal(subtree(data, 0, root=True)) == root, size
    return {"size_bytes": size, "sha256": hashlib.sha256(data).hexdigest(), "blake3": root}


def window_vector(offset, size):
    value = hexadecimal(subtree(pattern(size), offset // CHUNK_SIZE_BYTES))
    return {"offset_bytes": offset, "size_bytes": size, "chaining_value": value}


def main():
    sizes = [0, 1, 63, 64, 65, 1023, 1024, 1025, 2048, 2049, 4095, 4096, 4097, 16383, 16384, 16385]
    for window in (MIB, 4 * MIB, 64 * MIB):
        sizes += [window - 1, window, window + 1, 3 * window + 5000]
    sizes.remove(3 * 64 * MIB + 5000)
    windows = [(0, 1024), (0, 1025), (1024, 1), (1024, 1024), (4096, 4095), (4096, 4096), (MIB, MIB), (MIB, 300_001)]
    for edge in (1 << 32, 1 << 42, 1 << 52):
        windows += [(edge - 1024, 1024), (edge - 4096, 4096), (edge, 1), (edge, 1024), (edge, 16385), (edge + 4096, 4096)]
    windows += [(1 << 42, 65536), ((1 << 42) + 4 * MIB, MIB)]
    document = {
        "comment": [
            "Expected digests for every engine. Input byte i is i % 251, counted from the start of the file or window.",
            "files: sha256 by Python's hashlib, blake3 by PyPI blake3 1.0.11 (which binds the Rust crate).",
            "files up to 4 MiB + 1: blake3 cross-checked with the plain recursion in vectors.py (the independent part); sizes 0, 1, 1023-1025, "
            "2048, 2049, 4096 and 4097 also with test_vectors.json of the BLAKE3 project.",
            "windows: non-root chaining values by that recursion, at synthetic offsets: 4 GiB is byte 2^32; at 4 TiB, byte "
            "2^42, the chunk counter passes 32 bits.",
        ],
        "files": [file_vector(size) for size in sizes],
        "windows": [window_vector(offset, size) for offset, size in windows],
    }
    text = json.dumps(document, indent=1) + "\n"
    pathlib.Path(__file__).with_name("vectors.json").write_text(text)


main()
