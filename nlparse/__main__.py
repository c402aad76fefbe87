"""``python -m nlparse TEXT`` explains a parse; ``--batch`` answers JSON lines, one for each, as RULES.md says."""

import argparse
import json
import sys
from typing import Any

from nlparse import parse
from nlparse.commands import Command


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


def explain(text: str, command: Command) -> str:
    """The parse for a person: intent, slots with where they stand, and the question."""
    lines = [f"intent      {command.intent}", f"confidence  {command.confidence:g}"]
    for slot, value in command.slots().items():
        span = command.spans.get(slot)
        place = f"   (characters {span[0]}-{span[1]})" if span else ""
        lines.append(f"{slot:<11} {json.dumps(value, ensure_ascii=False)}{place}")
    if command.did_you_mean:
        lines.append(f"perhaps     {command.did_you_mean} was meant; names are never corrected")
    if command.question:
        lines.append(f"question    {command.question.text}")
        lines.append(f"yes means   {json.dumps(command.question.would_be.answer(), ensure_ascii=False)}")
    return "\n".join(lines)


def main(argv: list[str] | None = None) -> int:
    """Exit status: 0 understood, 2 unknown."""
    parser = argparse.ArgumentParser(prog="python -m nlparse", description="Plain words to commands.")
    parser.add_argument("text", nargs="*", help="the words")
    parser.add_argument("--batch", action="store_true", help="JSON lines on standard input, answers on standard output")
    parser.add_argument("--explain", action="store_true", help="explain the parse (the default for a text)")
    parser.add_argument("--me", help="your name")
    parser.add_argument("--known", default="", help="registered names, with commas")
    parser.add_argument("--last-from", help="who wrote to you last")
    options = parser.parse_args(argv)
    if options.batch:
        return batch()
    if not options.text:
        parser.error("give a text, or --batch")
    text = " ".join(options.text)
    known = [n.strip() for n in options.known.split(",") if n.strip()]
    command = parse(text, me=options.me, known=known, last_from=options.last_from)
    print(explain(text, command))
    return 0 if command.intent != "unknown" else 2


if __name__ == "__main__":
    sys.exit(main())
