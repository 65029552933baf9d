"""Opens what the program has sealed in its database, by the stated format alone.

in   a store key as its file has it, rows of the database
out  names and numbers as they were before they were sealed

XChaCha20 as in draft-irtf-cfrg-xchacha-03 and RFC 8439: 24 bytes of nonce, the sealed bytes, 16 bytes of
tag (docs/decisions/0017-sealed-at-rest.md). Deliberately absent: checking the tag, which is what the
program's own tests are about; whatever is opened wrongly here is no name and recognises nobody.
"""

from __future__ import annotations

import struct

NONCE_BYTES = 24
TAG_BYTES = 16
WORDS = struct.unpack("<4I", b"expand 32-byte k")


def rounds(state: list[int]) -> list[int]:
    """The 20 rounds of ChaCha."""

    def quarter(a: int, b: int, c: int, d: int) -> None:
        for x, y, z, turn in ((a, b, d, 16), (c, d, b, 12), (a, b, d, 8), (c, d, b, 7)):
            state[x] = (state[x] + state[y]) & 0xFFFFFFFF
            mixed = state[z] ^ state[x]
            state[z] = ((mixed << turn) | (mixed >> (32 - turn))) & 0xFFFFFFFF

    for _ in range(10):
        for column in range(4):
            quarter(column, column + 4, column + 8, column + 12)
        for diagonal in range(4):
            quarter(diagonal, 4 + (diagonal + 1) % 4, 8 + (diagonal + 2) % 4, 12 + (diagonal + 3) % 4)
    return state


def opened(key: bytes, sealed: bytes) -> bytes:
    """The plain bytes of what `key` has sealed."""
    nonce, body = sealed[:NONCE_BYTES], sealed[NONCE_BYTES:-TAG_BYTES]
    mixed = rounds([*WORDS, *struct.unpack("<8I", key), *struct.unpack("<4I", nonce[:16])])
    subkey = [*mixed[:4], *mixed[12:]]
    plain = bytearray()
    for block in range(0, len(body), 64):
        # Block 0 makes the key of the tag.
        state = [*WORDS, *subkey, 1 + block // 64, 0, *struct.unpack("<2I", nonce[16:])]
        stream = [(a + b) & 0xFFFFFFFF for a, b in zip(rounds(state.copy()), state, strict=True)]
        plain += bytes(a ^ b for a, b in zip(body[block : block + 64], struct.pack("<16I", *stream)))
    return bytes(plain)


def name(data_key: bytes, sealed: bytes) -> str:
    """A name, which is padded behind its length."""
    plain = opened(data_key, sealed)
    (length,) = struct.unpack("<H", plain[:2])
    return plain[2 : 2 + length].decode("utf-8")
