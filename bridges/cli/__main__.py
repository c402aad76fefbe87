"""``ipc``: the command line.

Exit status: 0 done; 1 failed; 2 wrong usage; 3 the service is not running or can't be reached; 4 not registered or not
allowed; 5 refused by a limit, try again later; 130 interrupted.
"""

from __future__ import annotations

import os
import sys

from broker.home import environment
from broker.home.paths import Place
from broker.protocol.errors import IpcError, SettingsError

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from typing import Any

    from broker.home.settings import Settings

FAILED, USAGE, UNAVAILABLE, NOT_ALLOWED, LIMIT, INTERRUPTED = 1, 2, 3, 4, 5, 130
_BY_HOSTS = {"hook": "hook:main", "monitor": "monitor:monitor", "wait": "monitor:wait", "guard": "guard:main"}
"""Commands that hosts and git run at every event. They take their words as they are, without a parser."""


def main(argv: list[str] | None = None) -> int:
    """Run a command and return its exit status."""
    shown = _hold_standard_descriptors()
    arguments = sys.argv[1:] if argv is None else argv
    if arguments and arguments[0] in _BY_HOSTS and arguments[1:] not in (["-h"], ["--help"]):
        module, _, function = _BY_HOSTS[arguments[0]].partition(":")
        done: int = _function(f"bridges.hosts.{module}", function)(arguments[1:])
        return done
    from bridges.cli.commands import COMMANDS, options_of, whole_parser
    from bridges.terminal import complain, give_up_output

    if not shown:
        complain("standard output is closed, so nothing can be shown", "ipc --help")
        return FAILED
    # a letter that the terminal's encoding lacks must not stop the mail behind it
    sys.stdout.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    if not arguments:
        whole_parser().print_help()
        return 0
    if arguments[0] == "--as" and len(arguments) > 2:  # it may stand before its command, too
        arguments = [arguments[2], *arguments[:2], *arguments[3:]]
    name = arguments[0]
    if name in COMMANDS:
        options = options_of(name, arguments[1:])
    elif name.startswith("-"):
        options = whole_parser().parse_args(arguments)
    else:
        import difflib

        close = difflib.get_close_matches(name, COMMANDS, n=1)
        if close:
            complain(f"unknown command {name!r}. Did you mean {close[0]}?", "ipc --help")
        elif len(arguments) > 1 or " " in name:
            import shlex

            complain(f"unknown command {name!r}", f"did you mean: ipc say {shlex.quote(' '.join(arguments))}")
        else:
            complain(f"unknown command {name!r}", "ipc --help")
        return USAGE
    try:
        return run(options)
    except BrokenPipeError:
        give_up_output()
        return FAILED
    except KeyboardInterrupt:
        return INTERRUPTED


def _settings(home: str) -> Settings:
    """All settings of the data folder; only commands that aren't quick have the time to read them."""
    from broker.home.settings import Settings

    return Settings.load(home=home)


def _function(module: str, name: str) -> Any:
    """Of a module that is imported for it, without importlib, which takes 1 ms to import itself."""
    __import__(module)
    return getattr(sys.modules[module], name)


def _hold_standard_descriptors() -> bool:
    """Open the null device for each closed descriptor of 0 to 2. False if standard output was closed.

    Otherwise a socket of ours would get the number, and a hook's answer or a command's output would go into it.
    """
    shown = sys.stdout is not None
    for fd, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(fd)
        except OSError:
            os.open(os.devnull, os.O_RDONLY)
            setattr(sys, name, open(os.devnull, "w" if fd else "r"))  # noqa: SIM115 (for the life of the process)
    return shown


def run(options: argparse.Namespace) -> int:
    """Import and run the command's function. An error becomes a sentence, a next step and an exit status."""
    from bridges.agents_shell import ShellNotRegistered
    from bridges.terminal import complain, give_up_output

    work_of = options.run
    if environment.key_file():
        from bridges.cli.commands import ELSEWHERE, HERE

        work_of = ELSEWHERE.get(work_of, work_of)
        if work_of.partition(":")[0] in HERE:
            complain("IPC_KEY_FILE names another machine's broker, and this is about one on this machine", "unset IPC_KEY_FILE")
            return USAGE
    module, _, function = work_of.partition(":")
    try:
        work = _function(module if "." in module else f"bridges.cli.{module}", function)
        place = Place.here()
        status: int = work(place if options.quick else _settings(place.home), options)
    except SettingsError as e:
        complain(str(e), "correct it, then: ipc status --config")
        return USAGE
    except ShellNotRegistered as e:
        complain(str(e), e.step)
        return NOT_ALLOWED
    except IpcError as e:
        from bridges.cli.hints import hint, words

        complain(words(e), hint(e, options.command))
        return exit_status(e)
    except BrokenPipeError:
        raise
    except OSError as e:  # a folder that is not ours, or can't be read or written
        give_up_output()
        complain(f"{e.filename}: {e.strerror}" if e.filename else str(e.strerror or e), "ipc doctor")
        return FAILED
    return status


def exit_status(error: IpcError) -> int:
    """The exit status of an error, by its class in the catalogue."""
    if error.code in ("unavailable", "timeout"):
        return UNAVAILABLE
    if error.kind.http in (401, 403):
        return NOT_ALLOWED
    if error.retryable:
        return LIMIT
    return USAGE if error.code == "bad_request" else FAILED


if __name__ == "__main__":
    sys.exit(main())
