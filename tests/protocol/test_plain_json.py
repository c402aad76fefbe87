"""JSON by the C code of the json package: the same as the package itself."""

import json
import subprocess
import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.protocol import plain_json

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(codec=None)),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)
PIECES = st.lists(st.sampled_from([*'{}[]:,"\\ \t\n\r0123-.eE+/u', "true", "null", "NaN", "-Infinity", "é", "\ufeff", '"a"']))


def outcome(read: Any, line: bytes) -> Any:
    try:
        return repr(read(line))
    except ValueError:
        return ValueError


@given(VALUES, st.booleans(), st.sampled_from([(", ", ": "), (",", ":")]))
def test_values_are_written_and_read_as_the_package_does(value: Any, ascii_only: bool, separators: tuple[str, str]) -> None:
    written = plain_json.dumps(value, ensure_ascii=ascii_only, separators=separators)
    assert written == json.dumps(value, ensure_ascii=ascii_only, separators=separators)
    line = written.encode("utf-8", "surrogatepass")
    assert repr(plain_json.loads(line)) == repr(json.loads(line)) == repr(plain_json.loads(written))


@given(PIECES)
def test_what_the_package_refuses_is_refused(pieces: list[str]) -> None:
    line = "".join(pieces).encode()
    if line[:2].count(0) == 0:
        assert outcome(plain_json.loads, line) == outcome(json.loads, line)


@pytest.mark.parametrize(
    "line", [b"", b" ", b"\xff", b'"\xed\xa0\x80"', b"\xef\xbb\xbf{}", b"{} {}", b"[1,]", b'{"a":1}\r\n', b"01"]
)
def test_lines_at_the_edge(line: bytes) -> None:
    assert outcome(plain_json.loads, line) == outcome(json.loads, line)


def test_what_json_has_not_is_refused() -> None:
    with pytest.raises(TypeError):
        plain_json.dumps({"a": {1}})
    itself: list[Any] = []
    itself.append(itself)
    with pytest.raises(RecursionError):
        plain_json.dumps(itself)
    with pytest.raises(RecursionError):
        plain_json.loads(b"[" * 200_000)

    def refuse(word: str) -> Any:
        raise ValueError(word)

    with pytest.raises(ValueError, match="NaN"):
        plain_json.loads(b"[NaN]", parse_constant=refuse)


def test_where_json_is_not_imported_all_that_is_no_json_is_refused() -> None:
    lines = [b"{", b'{"a"', b'{"a":', b"[1", b'"abc', b'"\\q"', b"nonsense", b"[1,]", b"{} {}"]
    program = f"""
import sys
from broker.protocol.plain_json import loads
for line in {lines!r}:
    try:
        loads(line)
    except ValueError:
        print("refused")
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=30)
    assert done.stdout.split() == ["refused"] * len(lines), done.stderr


def test_it_brings_no_regular_expressions_and_does_without_the_c_code() -> None:
    program = (
        "import sys; sys.path.insert(0, {path!r}); {before}from broker.protocol import plain_json as p; "
        "print('re' in sys.modules, p.loads(p.dumps([1, 'é'])) == [1, 'é'])"
    )
    path = str(plain_json.__file__).removesuffix("broker/protocol/plain_json.py")
    for before, said in (("", "False True"), ("sys.modules['_json'] = None; ", "True True")):
        command = [sys.executable, "-S", "-c", program.format(path=path, before=before)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=30)
        assert done.stdout.strip() == said, done.stderr
