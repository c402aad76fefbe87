"""The folders of known hosts: their files, their facts in the allowed words, little code; and a host is named nowhere else.

docs/adding-a-host.md says what each fact is; that page's own host is made and run in tests/hosts/test_adding_a_host.py.
"""

import ast
import io
import json
import re
import subprocess
import sys
import tokenize
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from bench.hosts.seen import load
from bridges.known_hosts.catalogue import HERE, about, hooks_of, names
from bridges.known_hosts.host_facts import DOCUMENT, RUN, HostFacts
from bridges.known_hosts.installation import Setup
from broker.home.environment import HOST_SESSIONS

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs/adding-a-host.md"
CODE_LINES = 150
FILES = {"__init__.py", "host.toml", "hooks.py", "setup.py", "files"}
MOMENTS = {"start", "prompt", "tool", "edit", "permit", "stop", "end"}
REPORTED = {"turn_began", "turn_ended", "tool_began", "tool_ended", "permission", "answer", "sign", "failed", "ended"}
COSTLY = {"dataclasses", "typing", "pathlib", "hashlib", "logging", "tomllib", "subprocess", "importlib.resources"}
FORMS = {"context", "hold", "permission"}
"""Functions that several hosts share."""
NEEDED = {
    "NAME",
    "EVENTS",
    "REPORTS",
    "TOOL_RAN",
    "NOTIFIED",
    "STEP",
    "SILENT",
    "PROJECT_VARIABLE",
    "FIELDS",
    "WAKE",
    "context",
    "hold",
    "edited",
}
HOSTS = pytest.mark.parametrize("host", names())
RUN_HOSTS = pytest.mark.parametrize("host", [name for name in names() if about(name).evidence == RUN])

NAMED_ELSEWHERE = {
    "broker/home/environment.py": "the table of the variables by which a shell knows its session",
    "bridges/cli/demo.py": "agents of the demonstration, which have such names",
}
"""Where the name of a host stands in code outside of its folder, and why."""


def folder(host: str) -> Path:
    return Path(HERE) / host


def facts(module: ModuleType) -> set[str]:
    """The public names of a hooks module, but for what it imports for its own use."""
    named = {name: value for name, value in vars(module).items() if not name.startswith("_") and name != "TYPE_CHECKING"}
    made_elsewhere = {name for name, value in named.items() if getattr(value, "__module__", module.__name__) != module.__name__}
    modules = {name for name, value in named.items() if isinstance(value, ModuleType)}
    return named.keys() - modules - (made_elsewhere - FORMS)


def code_lines(path: Path) -> int:
    """Lines that are neither empty nor comment nor docstring."""
    text = path.read_text(encoding="utf-8")
    if path.suffix != ".py":
        bare = re.sub(r"/\*.*?\*/", "", text, flags=re.S)
        return sum(bool(line.strip()) and not line.strip().startswith("//") for line in bare.splitlines())
    lines: set[int] = set()
    fresh = True
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type in (tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT):
            fresh = True
        elif token.type not in (tokenize.NL, tokenize.COMMENT, tokenize.ENDMARKER):
            if not (fresh and token.type == tokenize.STRING):
                lines |= set(range(token.start[0], token.end[0] + 1))
            fresh = False
    return len(lines)


@HOSTS
def test_a_folder_has_its_files_and_no_others(host: str) -> None:
    found = {path.name for path in folder(host).iterdir()} - {"__pycache__"}
    assert found | {"files"} == FILES
    assert len((folder(host) / "__init__.py").read_text(encoding="utf-8").splitlines()) == 1


@HOSTS
def test_a_host_is_little_code(host: str) -> None:
    kinds = ("*.py", "files/**/*.js", "files/**/*.mjs", "files/**/*.ts")
    assert sum(code_lines(path) for kind in kinds for path in folder(host).glob(kind)) <= CODE_LINES


@HOSTS
def test_a_host_s_facts_are_whole(host: str) -> None:
    known = about(host)
    assert known.title and known.program and known.next and known.evidence in (RUN, DOCUMENT)
    assert known.client == known.client.lower() and known.patience_s >= 0
    assert known.tools.keys() <= {"allowed", "asked"}
    if known.evidence == RUN:
        assert known.package and re.fullmatch(r"\d+\.\d+\.\d+", known.version) and known.tools.keys() == {"allowed", "asked"}
    else:
        assert not known.version and re.search(r"\d{4}-\d\d-\d\d", known.source), "say where its document stands, as of when"


def test_no_two_hosts_have_the_same_title_program_or_package() -> None:
    for fact in ("title", "program", "package"):
        values = [value for host in names() if (value := getattr(about(host), fact))]
        assert len(values) == len(set(values))


@HOSTS
def test_a_host_s_hooks_say_what_they_must_in_the_allowed_words(host: str) -> None:
    hooks = hooks_of(host)
    assert facts(hooks) >= NEEDED and host == hooks.NAME
    assert set(hooks.EVENTS.values()) <= MOMENTS
    assert set(hooks.REPORTS.values()) | set(hooks.NOTIFIED.values()) <= REPORTED
    assert hooks.STEP in {"", *hooks.EVENTS} and set(hooks.TOOL_RAN) <= set(hooks.REPORTS)
    assert not hooks.SILENT or json.loads(hooks.SILENT) == {}
    permits = "permit" in hooks.EVENTS.values()
    assert permits == hasattr(hooks, "permission") == hasattr(hooks, "PERMISSION_S") == bool(about(host).approvals)


@HOSTS
def test_a_host_s_answers_are_objects_and_hold_the_text(host: str) -> None:
    hooks = hooks_of(host)
    text = 'two "lines"\nand </an> end'
    for event, moment in hooks.EVENTS.items():
        if moment in ("start", "prompt", "tool") and (answer := hooks.context(event, text)) != text:  # some take bare text
            assert _holds(json.loads(answer), text)
    if "stop" in hooks.EVENTS.values():
        assert _holds(json.loads(hooks.hold(text)), text)


def _holds(value: Any, text: str) -> bool:
    if isinstance(value, dict | list):
        return any(_holds(one, text) for one in (value.values() if isinstance(value, dict) else value))
    return bool(value == text)


@HOSTS
@pytest.mark.parametrize(
    "given", [{}, {"tool_name": 1, "tool_input": "x"}, {"tool_name": "Edit", "tool_input": {"file_path": 7}}]
)
def test_a_host_s_odd_tool_call_changes_no_file(host: str, given: dict[str, Any]) -> None:
    assert hooks_of(host).edited(given) == []


def test_hooks_of_hosts_import_nothing_costly() -> None:
    modules = ", ".join(f"bridges.known_hosts.{host}.hooks" for host in names())
    code = f"import sys; bare = set(sys.modules); import {modules}; print(*(set(sys.modules) - bare))"
    run = subprocess.run([sys.executable, "-S", "-E", "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert set(run.stdout.split()) & COSTLY == set()


@RUN_HOSTS
def test_a_host_that_was_run_has_recorded_events_tests_with_its_program_and_its_session_s_variable(host: str) -> None:
    assert list((ROOT / "tests/hosts/recorded").glob(f"{host}-*.json"))
    tests = (path.read_text(encoding="utf-8") for path in (ROOT / "tests/hosts").glob("test_real_*.py"))
    assert any(f'shows("{host}"' in text for text in tests)
    assert host in HOST_SESSIONS


@RUN_HOSTS
def test_a_host_that_was_run_was_seen_with_the_version_that_the_tests_run(host: str) -> None:
    assert (host, about(host).version) in {(sight.host, sight.version) for sight in load()}


@RUN_HOSTS
def test_the_page_of_hosts_has_a_word_about_each(host: str) -> None:
    assert about(host).title in (ROOT / "docs/hosts.md").read_text(encoding="utf-8")


def named_elsewhere() -> Iterator[tuple[str, str]]:
    """(file, host) of each constant in our code, outside of the hosts' folders, that is the name of one."""
    known = set(names()) - {"cursor"}  # which is a word of our own, too: the place in a list
    for package in ("broker", "bridges", "nlparse"):
        for path in sorted((ROOT / package).rglob("*.py")):
            if Path(HERE) in path.parents and path.parent != Path(HERE):
                continue
            yield from ((str(path.relative_to(ROOT)), text) for text in sorted(constants(path) & known))


@cache
def constants(path: Path) -> frozenset[str]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return frozenset(n.value for n in ast.walk(tree) if isinstance(n, ast.Constant) and isinstance(n.value, str))


def test_a_host_is_named_in_its_folder_alone() -> None:
    found = list(named_elsewhere())
    assert [f"{path} names {host}" for path, host in found if path not in NAMED_ELSEWHERE] == []
    assert NAMED_ELSEWHERE.keys() <= {path for path, _ in found}, "it names no host any more"


@HOSTS
def test_the_page_on_adding_a_host_explains_each_fact(host: str) -> None:
    page = PAGE.read_text(encoding="utf-8")
    explained = set(re.findall(r"`(\w+)", page))
    assert facts(hooks_of(host)) - explained == set()
    assert set(HostFacts.__dataclass_fields__) - explained == set()
    own = {name for name in vars(Setup) if not name.startswith("_")} | set(Setup.__dataclass_fields__)
    assert own - explained == set()
