"""``python -m nlparse`` as its own process."""

import ast
import json
import subprocess
import sys
from pathlib import Path

import nlparse

CASES = Path(__file__).with_name("cases")


def run(*args: str, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    return subprocess.run([sys.executable, "-m", "nlparse", *args], input=stdin, capture_output=True, timeout=30)


def test_the_batch_answers_every_line_in_order() -> None:
    lines = [
        b'{"text": "check messages"}',
        b"rubbish",
        b"[]",
        b"",
        b'{"text": 5}',
        b'{"text": "msg ferd: \\u00fc", "known": ["fred", 5], "me": 7, "last_from": []}',
        b"\xff",
        b"[" * 100000,
        b'{"text": "\\ud800 hi", "known": null}',
    ]
    done = run("--batch", stdin=b"\n".join(lines) + b"\n")
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    assert done.returncode == 0
    assert [a["intent"] for a in answers] == ["check", "unknown", "unknown", "unknown", "unknown", "send"] + ["unknown"] * 3
    assert answers[5] == {"intent": "send", "to": ["ferd"], "content": "ü", "did_you_mean": "fred"}


def test_a_parse_is_explained_to_a_person() -> None:
    known = run("msg fred: hi", "--known", "fred, barney")
    assert (known.returncode, b'content     "hi"   (characters 10 to 12)' in known.stdout) == (0, True)
    stranger = run("msg", "frid", "and", "zoe", "hi", "--known", "fred")
    assert stranger.returncode == 2
    assert b"zoe aren't registered. Send anyway?" in stranger.stdout
    assert b"or meant    fred" in stranger.stdout


def test_the_score_of_cases_is_told_and_wrong_ones_are_shown(tmp_path: Path) -> None:
    right = run("--score", str(CASES / "4_broadcast.jsonl"))
    assert (right.returncode, right.stdout.startswith(b"exact 1.000, false actions 0.000")) == (0, True)
    wrong = tmp_path / "wrong.jsonl"
    case = {"text": "msg fred: hi", "me": None, "known": [], "last_from": None, "expect": {"intent": "unknown"}}
    wrong.write_text(json.dumps(case))
    done = run("--score", str(wrong))
    assert (done.returncode, b"false actions 1.000" in done.stdout, b"msg fred: hi" in done.stdout) == (1, True, True)
    assert run("--score", str(tmp_path / "none.jsonl")).returncode == 2


def test_the_package_stands_alone_and_starts_lightly() -> None:
    for path in Path(nlparse.__file__).parent.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            assert not any(name.split(".")[0] not in {*sys.stdlib_module_names, "nlparse"} for name in names)
    code = "import sys, nlparse; print([m for m in ('pydantic', 'asyncio', 'tomllib', 'argparse') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=30)
    assert done.stdout.strip() == "[]"
