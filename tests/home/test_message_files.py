"""Names of the files of large messages."""

import pytest

from broker.home.message_files import file_stem, is_ours


@pytest.mark.parametrize("party", ["fred", "f" * 32, "all", "ann@paris", "f" * 32 + "@" + "r" * 32, "*@rome", "*@*", "*"])
def test_each_party_of_a_message_stands_in_the_name_of_a_file_of_ours(party: str) -> None:
    for sender, recipient in (("fred", party), ("ann@paris", party)):
        stem = file_stem("20260102-030405", sender, recipient)
        assert is_ours(f"{stem}.md") and is_ours(f"{stem}-2.md")


@pytest.mark.parametrize(
    "party", ["../fred", "fred@../x", "fred@", "@rome", "fred@a.b", "fred@Rome", "a@b@c", "", "f" * 33, "fréd"]
)
def test_a_name_that_no_party_has_is_none_of_ours(party: str) -> None:
    assert not is_ours(f"20260102-030405_fred_{party}_message.md")
