"""The start and the life of a supervised process: broker and doors alike (for doors see broker.service.door_process, too).

``begin`` reads the settings, makes the data folder and opens the log.

A supervised process never outlives its supervisor, and answers its questions whether it lives (broker.service.heartbeat).
"""

import contextlib
import ctypes
import gc
import importlib
import importlib.util
import os
import resource
import select
import signal
import sys
from typing import TYPE_CHECKING, NamedTuple

from broker.home.data_folder import prepare_home
from broker.home.files import FolderError
from broker.home.logs import Log
from broker.home.settings import Settings, SettingsError

if TYPE_CHECKING:
    import argparse

_PR_SET_PDEATHSIG = 1


SUPERVISED = "--supervised"


class Begun(NamedTuple):
    """What a process of the service has from its start."""

    settings: Settings
    log: Log


def begin(name: str, *, supervised: bool) -> Begun | None:
    """Tie the process to its supervisor, read the settings, make the data folder, open ``logs/NAME.log``.

    None where that can't be done; standard error then says why.
    """
    if supervised:
        die_with_parent()
    allow_many_files()
    try:
        settings = Settings.load()
        prepare_home(settings)
    except (SettingsError, FolderError) as e:
        print(f"{name}: {e}", file=sys.stderr)
        return None
    return Begun(settings, Log(name, settings.home / "logs", settings.log_level))


def is_supervised(module: str, description: str, argv: list[str] | None) -> bool:
    """Whether the command line is the supervisor's. That one needs no argparse (0.4 MB)."""
    given = sys.argv[1:] if argv is None else argv
    return given == [SUPERVISED] or bool(parser_of(module, description).parse_args(given).supervised)


def parser_of(module: str, description: str) -> "argparse.ArgumentParser":
    """The command line that the supervisor uses."""
    import argparse

    parser = argparse.ArgumentParser(prog=f"python -m {module}", description=description)
    parser.add_argument(SUPERVISED, action="store_true", help="stop when standard input closes")
    return parser


def import_asyncio() -> None:
    """Import asyncio without ssl, which takes 2 MB: the doors' own TLS does not need it there."""
    _import_without("ssl", "asyncio")


def import_hashlib() -> None:
    """Import hashlib without OpenSSL, which takes 4 MB, where Python has all digests of its own (broker.protocol.digests)."""
    own = ("_sha2",) if sys.version_info >= (3, 12) else ("_sha256", "_sha512")
    if all(importlib.util.find_spec(name) for name in ("_md5", "_sha1", *own, "_sha3", "_blake2")):
        _import_without("_hashlib", "hashlib", "hmac")


def _import_without(part: str, *modules: str) -> None:
    """Import modules as they are where Python was built without a part of it that they can do without.

    Does nothing where one of them, or the part, is imported already.
    """
    if not {part, *modules}.isdisjoint(sys.modules):
        return
    sys.modules[part] = None  # type: ignore[assignment]
    try:
        for module in modules:
            importlib.import_module(module)
    finally:
        del sys.modules[part]


def heard_parent(pipe: int) -> bool:
    """Read what the supervisor wrote to this end of its pipe; False if it is gone.

    A byte asks whether the process lives. The main loop answers it on standard output, since the question is about that loop.
    """
    if not os.read(pipe, 64):
        return False
    with contextlib.suppress(OSError):
        os.write(1, b".")
    return True


def answer_parent(pipe: int) -> None:
    """Answer the supervisor if it has asked, from within a long piece of work."""
    if select.select([pipe], [], [], 0)[0]:
        heard_parent(pipe)


def die_with_parent() -> None:
    """On Linux, have the kernel kill this process when its parent dies. Elsewhere the end of standard input tells."""
    if sys.platform != "linux":
        return
    parent = os.getppid()
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it died before the call
        os._exit(0)


def allow_many_files() -> None:
    """Use as many descriptors as this user may have: many systems begin with 1024, and each connection takes one."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard and hard != resource.RLIM_INFINITY:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def collect_seldom(objects: int = 20_000) -> None:
    """Look for garbage in cycles when there are so many ``objects`` more, in place of the 700 that Python waits for by itself.

    A look stops a loaded process for milliseconds. What lives by now is not looked at again. Nearly everything else is freed by
    its reference count at once.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(objects, 50, 1_000)
