"""Any mbox reader gets the mail whole: Python's, with every text there can be."""

import mailbox
import re
from pathlib import Path
from typing import Any

from hypothesis import example, given
from hypothesis import strategies as st

from bridges.export import mbox
from tests.examples import examples
from tests.export.rows import row

TEXTS = st.text(st.one_of(st.sampled_from("From >\n\r\0. é😀"), st.characters(exclude_categories=("Cs",))), max_size=200)


def opened(path: Path, *rows: dict[str, Any]) -> list[mailbox.mboxMessage]:
    path.write_bytes(b"".join(mbox.entry(one, "abc") for one in rows))
    return list(mailbox.mbox(path, create=False))


def text_of(mail: Any) -> str:
    """As docs/leave.md says: the payload, unquoted, without its last line break."""
    part = mail.get_payload()[0] if mail.is_multipart() else mail
    raw: bytes = part.get_payload(decode=True)
    if part["Content-Transfer-Encoding"] == "8bit":
        raw = re.sub(rb"^>(>*From )", rb"\1", raw, flags=re.MULTILINE)
    assert raw.endswith(b"\n")
    return raw[:-1].decode()


@examples(200)
@given(st.lists(TEXTS, min_size=1, max_size=4))
@example(["From me\n>From you\n>>From all\n\nFrom", "", "\n", "a\r\nb\r", "x" * 5000, "\0", "From "])
def test_every_text_comes_out_as_it_went_in(tmp_path_factory: Any, texts: list[str]) -> None:
    rows = [row(n, text, message={"content": text, **({"data": [text]} if n % 2 else {})}) for n, text in enumerate(texts, 1)]
    found = opened(tmp_path_factory.mktemp("m") / "mbox", *rows)
    assert [text_of(one) for one in found] == texts


def test_headers_are_mails_own(tmp_path: Path) -> None:
    answer = row(7, "Grüße\nat night", thread="3", reply_to="5", group="devs", message={"content": "Grüße", "data": {"a": 1}})
    (found,) = opened(tmp_path / "mbox", answer)
    assert found.get_from() == "fred@agent-ipc.invalid Thu Nov  5 07:08:09 2026"
    assert (found["Message-ID"], found["In-Reply-To"]) == ("<7.abc@agent-ipc.invalid>", "<5.abc@agent-ipc.invalid>")
    assert found["References"] == "<3.abc@agent-ipc.invalid> <5.abc@agent-ipc.invalid>"
    assert (found["From"], found["To"]) == ("fred <fred@agent-ipc.invalid>", "devs <devs@agent-ipc.invalid>")
    assert found["Date"] == "Thu, 05 Nov 2026 07:08:09 +0000"
    assert str(mbox.subject("Grüße\nat night")) == "Grüße"
    assert found.get_payload()[1].get_payload(decode=True) == b'{"a":1}'


def test_names_of_sites_and_headers_in_texts_stay_what_they_are(tmp_path: Path) -> None:
    readers = [{"name": "*@rome", "state": "unread"}, {"name": None, "state": "read"}]
    (found,) = opened(tmp_path / "mbox", row(1, "\r\nBcc: everyone\x1b[2J", **{"from": "ada@rome"}, readers=readers))
    assert (found["From"], found["Bcc"]) == ('"ada@rome" <ada@rome.agent-ipc.invalid>', None)
    assert found["To"] == '"*@rome" <all@rome.agent-ipc.invalid>'
    assert found["Subject"] == "Bcc: everyone[2J"
