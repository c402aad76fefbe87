"""Large messages and their files."""

import hashlib
from pathlib import Path

from broker.core.drafts import summary
from tests.engine import OWNER, Core


def test_a_large_message_becomes_a_markdown_file_with_the_original_untouched(pair: Core) -> None:
    body = "First sentence. Second one! Third.\r\n" + "ü\x00" * 6000
    pair.send("fred", "claude", body)
    mail = pair.check("claude")[0]
    path = Path(mail["file"]["path"])
    assert path.name == "20270115-080000_fred_claude_message.md"
    assert path.read_bytes().split(b"\n---\n\n", 1)[1] == body.encode()
    assert (path.stat().st_mode & 0o777, mail["file"]["size_bytes"]) == (0o600, len(body.encode()))
    assert mail["file"]["sha256"] == hashlib.sha256(body.encode()).hexdigest()
    assert mail["message"]["content"] == f"First sentence. Second one! Full content saved to: {path}"


def test_large_messages_of_several_seconds_in_one_batch_keep_their_own_files(core: Core) -> None:
    rows = [
        {"as_": "owner", "action": "import", "session_token": OWNER, "from_id": "old", "to_id": "new", "message_id": f"m{n}"}
        | {"message": {"content": letter * 20_000}, "timestamp": 1000.0 + second}
        for n, (letter, second) in enumerate((("a", 0.2), ("b", 1.2), ("c", 0.4)))
    ]
    assert {reply["status"] for reply in core.batch(*rows)} == {"ok"}
    core.register("new")
    for mail in core.check("new"):
        text = Path(mail["file"]["path"]).read_bytes().split(b"\n---\n\n", 1)[1]
        assert hashlib.sha256(text).hexdigest() == mail["file"]["sha256"]


def test_a_large_file_is_never_overwritten(pair: Core) -> None:
    for _ in range(3):
        pair.send("fred", "claude", "x" * 20_000)
    names = sorted(p.name for p in (pair.home / "large-messages").iterdir())
    assert names == [f"20270115-080000_fred_claude_message{s}.md" for s in ("-2", "-3", "")]


def test_a_message_over_the_limit_is_refused(home: Path) -> None:
    core = Core(home, env={"IPC_MESSAGE_LIMIT": "20000"})
    core.register("fred")
    assert core.send("fred", "x", "y" * 20_001)["code"] == "too_large"
    assert core.ask("fred", "send", to_id="x", message={"content": "", "data": "y" * 17_000})["code"] == "too_large"
    assert not (home / "large-messages").exists()
    core.store.close()


def test_summaries_are_two_sentences_on_one_line() -> None:
    assert summary("One. Two?\nThree.") == "One. Two?"
    assert summary("x" * 1000) == "x" * 300 + "…"
    assert "\n" not in summary("a\nb\n" * 500)
