"""Builds ``shim.c`` and reads what it wrote."""

import shutil
import struct
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

_HEAD = struct.Struct("=cQQI")


class Record(NamedTuple):
    """One change of the disk; see shim.c for the kinds."""

    kind: str
    inode: int
    offset: int
    data: bytes


class NoCompiler(Exception):
    """There is no gcc here."""


def build(folder: Path) -> Path:
    """The shared library, compiled into the folder. Raises NoCompiler."""
    compiler = shutil.which("gcc") or shutil.which("cc")
    if compiler is None:
        raise NoCompiler("the disk shim needs gcc")
    library = folder / "shim.so"
    source = Path(__file__).with_name("shim.c")
    done = subprocess.run([compiler, "-O1", "-shared", "-fPIC", "-o", library, source, "-ldl"], capture_output=True, text=True)
    if done.returncode:
        raise NoCompiler(f"the disk shim can't be compiled here: {done.stderr[-500:]}")
    return library


def read(log: Path) -> Iterator[Record]:
    """The records in order; a cut-off last one is left out."""
    raw = log.read_bytes()
    at = 0
    while at + _HEAD.size <= len(raw):
        kind, inode, offset, size = _HEAD.unpack_from(raw, at)
        at += _HEAD.size
        if at + size > len(raw):
            return
        yield Record(kind.decode(), inode, offset, raw[at : at + size])
        at += size
