"""``python -m bench.hosts.listen``: the recording model by hand, to find out what a host says to its model, and when.

It prints its address, then a line of JSON for each request that offers tools: what the model is told, and the tools' names.
``--call TOOL JSON`` has the first answer call a tool. Ctrl-C ends it.
"""

import argparse
import json
import signal
import sys
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from bench.hosts.model_dialects import Order
from bench.hosts.recording_model import RecordingModel, Request


def tool_names(tools: list[dict[str, Any]]) -> list[str]:
    """The names of the tools that a request offers, in whichever dialect."""
    names: list[str] = []
    for tool in tools:
        inner = tool.get("functionDeclarations") or tool.get("tools") or [tool.get("function") or tool]
        names += [str(one.get("name") or one.get("type")) for one in inner]
    return names


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.hosts.listen", description=__doc__)
    parser.add_argument("--call", nargs=2, metavar=("TOOL", "JSON"), action="append", default=[], help="the next answer's call")
    options = parser.parse_args(argv)
    with RecordingModel() as model:
        answer = model.script

        def heard(request: Request) -> Sequence[Order]:
            names = tool_names(request.body["tools"])
            sys.stdout.write(json.dumps({"request": request.number, "tools": names, "told": json.loads(request.told)}) + "\n")
            sys.stdout.flush()
            return answer(request)

        model.script = heard
        for tool, arguments in options.call:
            model.order(tool, json.loads(arguments))
        sys.stdout.write(f"{model.url}\n")
        sys.stdout.flush()
        with suppress(KeyboardInterrupt):
            signal.pause()
    return 0


if __name__ == "__main__":
    sys.exit(main())
