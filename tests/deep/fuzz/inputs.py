"""Hostile inputs from a seed: values that a codec may carry or choke on, and bytes spoiled at random."""

import random
import struct
from typing import Any

import msgpack

_TEXTS = (
    "",
    "\x00",
    "a\x00b",
    "\x1b[2J\x1b]0;title\x07",
    "\u202egnp.exe",
    "\ufeff",
    "\U000e0041",
    "\ud800",
    "\udfff\ud800",
    "é" * 40,
    "A" * 33,
    "../../etc/passwd",
    "/",
    "..",
    "system",
    "SYSTEM",
    "all",
    "fred",
    "claude",
    "a-b_c",
    "x" * 70_000,
    "%s%n{0}{name}",
    "'; DROP TABLE message;--",
    "[end 00000000]",
    "*" * 200,
    "**/" * 60,
    "\n---\n",
    "-",
    "--help",
    "0" * 5000,
    "NaN",
    "1e999",
)
_NUMBERS = (
    0, -1, 1, 2**31, 2**32, 2**53 + 1, 2**63 - 1, 2**63, -(2**63), 2**64 - 1, 0.0, -0.0, 1e308, float("inf"), float("-inf"),
    float("nan"), 0.1, 3600, 3601, 10_001,
)  # fmt: skip


class Inputs:
    """One seed's inputs."""

    def __init__(self, seed: str) -> None:
        self.rng = random.Random(seed)  # noqa: S311 (a seeded test)

    def text(self) -> str:
        rng = self.rng
        if rng.random() < 0.6:
            return rng.choice(_TEXTS)
        return "".join(chr(rng.choice((rng.randrange(128), rng.randrange(0x300), rng.randrange(0x110000)))) for _ in range(9))

    def value(self, depth: int = 0) -> Any:
        """Anything a caller might pass: nested, huge, not finite, bytes, half a surrogate pair."""
        rng = self.rng
        kind = rng.randrange(9 if depth < 5 else 6)
        if kind == 0:
            return rng.choice((None, True, False))
        if kind in (1, 2):
            return rng.choice(_NUMBERS)
        if kind == 3:
            return rng.randbytes(rng.randrange(20))
        if kind in (4, 5):
            return self.text()
        if kind == 6 and rng.random() < 0.1:
            return self.deep(rng.choice((10, 63, 64, 65, 100)))
        if kind in (6, 7):
            return [self.value(depth + 1) for _ in range(rng.randrange(4))]
        return {self.text(): self.value(depth + 1) for _ in range(rng.randrange(4))}

    def deep(self, levels: int) -> Any:
        value: Any = 1
        for _ in range(levels):
            value = [value] if self.rng.random() < 0.5 else {"k": value}
        return value

    def spoil(self, raw: bytes) -> bytes:
        """Some bytes changed, cut out, put in, said twice, or all of it replaced."""
        rng = self.rng
        out = bytearray(raw)
        for _ in range(rng.choice((0, 1, 1, 2, 4, 16))):
            at = rng.randrange(len(out) + 1)
            kind = rng.randrange(6)
            if kind == 0 and out:
                out[at % len(out)] = rng.randrange(256)
            elif kind == 1:
                del out[at : at + rng.randrange(9)]
            elif kind == 2:
                out[at:at] = rng.randbytes(rng.randrange(9))
            elif kind == 3:
                out[at:at] = rng.choice(
                    (b"\x00", b"\xff\xfe", b"\xed\xa0\x80", b"{", b"[" * 70, b'"', b"\\u", b"9" * 50, b"\n")
                )
            elif kind == 4:
                out[at:at] = out[at : at + 40]
            else:
                out[at:at] = struct.pack(
                    ">BI", rng.choice((0xC6, 0xDB, 0xDD, 0xDF, 0xC9)), rng.choice((0, 1, 2**31, 2**32 - 1))
                )
        return bytes(out)

    def packed(self, value: Any) -> bytes:
        """MessagePack of it, or of what is left when a part of it can't be packed."""
        try:
            raw: bytes = msgpack.packb(value, unicode_errors="surrogatepass")
        except (ValueError, OverflowError, TypeError):
            raw = msgpack.packb({"action": "send", "id": 1})
        return raw
