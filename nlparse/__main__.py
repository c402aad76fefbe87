"""``python -m nlparse TEXT`` explains a parse, ``--batch`` answers JSON lines as RULES.md says, ``--score`` counts."""

import argparse
import io
import json
import sys
from pathlib import Path
from typing import Any

from nlparse import parse
from nlparse.commands import Command
from nlparse.score import score

MOST_SHOWN = 30
"""Wrong answers that ``--score`` prints."""


def answer_line(line: str) -> dict[str, Any]:
    """The answer to one line of the batch protocol; a line that is no request is unknown."""
    try:
        request = json.loads(line)
    except (ValueError, RecursionError):
        return {"intent": "unknown"}
    if not isinstance(request, dict) or not isinstance(request.get("text"), str):
        return {"intent": "unknown"}
    me, last_from = request.get("me"), request.get("last_from")
    known = request.get("known")
    names = [n for n in known if isinstance(n, str)] if isinstance(known, list) else []
    command = parse(
        request["text"],
        me=me if isinstance(me, str) else None,
        known=names,
        last_from=last_from if isinstance(last_from, str) else None,
    )
    return command.answer()


def batch() -> int:
    for raw in sys.stdin.buffer:
        answer = answer_line(raw.decode("utf-8", "replace"))
        sys.stdout.buffer.write(json.dumps(answer, ensure_ascii=True).encode() + b"\n")
        sys.stdout.buffer.flush()
    return 0


def explain(command: Command) -> str:
    """The parse for a person: intent, slots with where they stand, and the question."""
    lines = [f"intent      {command.intent}", f"confidence  {command.confidence:.1f}"]
    for slot, value in command.slots().items():
        span = command.spans.get(slot)
        place = f"   (characters {span[0]} to {span[1]})" if span else ""
        lines.append(f"{slot:<11} {json.dumps(value, ensure_ascii=False)}{place}")
    if command.did_you_mean:
        lines.append(f"perhaps     {command.did_you_mean} was meant; names are never corrected")
    if command.question:
        lines.append(f"question    {command.question.text}")
        if command.question.candidates:
            lines.append(f"or meant    {', '.join(command.question.candidates)}")
        if command.question.would_be:
            lines.append(f"yes means   {json.dumps(command.question.would_be.answer(), ensure_ascii=False)}")
    return "\n".join(lines)


def print_score(files: list[str]) -> int:
    """Exit status: 0 all as expected, 1 some not, 2 no cases could be read."""
    try:
        total = score(Path(f) for f in files)
    except (OSError, ValueError, KeyError) as e:
        print(f"cannot score: {e}", file=sys.stderr)
        return 2
    for case, answer in total.wrong[:MOST_SHOWN]:
        print(f"{case['text']!r}\n  expected {json.dumps(case['expect'])}\n  answered {json.dumps(answer)}")
    print(total)
    return 1 if total.wrong else 0


def main(argv: list[str] | None = None) -> int:
    """Exit status of a text: 0 understood, 2 unknown."""
    parser = argparse.ArgumentParser(prog="python -m nlparse", description="Plain words to commands.")
    parser.add_argument("text", nargs="*", help="the words; what they are understood as is explained")
    parser.add_argument("--explain", action="store_true", help="explain the parse (always done for a text)")
    parser.add_argument("--batch", action="store_true", help="JSON lines on standard input, answers on standard output")
    parser.add_argument("--score", action="store_true", help="the words are files of cases: say how many are read right")
    parser.add_argument("--me", help="your name")
    parser.add_argument("--known", default="", help="registered names, with commas")
    parser.add_argument("--last-from", help="who wrote to you last")
    options = parser.parse_args(argv)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # a shell may pass bytes that are no text
    if options.batch:
        return batch()
    if not options.text:
        parser.error("give a text, or --batch")
    if options.score:
        return print_score(options.text)
    text = " ".join(options.text)
    known = [n.strip() for n in options.known.split(",") if n.strip()]
    command = parse(text, me=options.me, known=known, last_from=options.last_from)
    print(explain(command))
    return 0 if command.intent != "unknown" else 2


if __name__ == "__main__":
    sys.exit(main())
