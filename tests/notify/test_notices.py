"""What a notice says and to whom: without being asked to, not a word of an agent's; a permission only where nobody guesses."""

import itertools

import pytest

from bridges.notify.notices import MOST_AT_ONCE, is_for, notice_of, notices_of
from bridges.notify.notify_settings import ChannelSettings
from bridges.view.needs import KINDS, Need

SINCE = "2027-01-01T00:00:00+00:00"
NTFY = ChannelSettings("ntfy", KINDS, full=False, url="https://ntfy.example/t", token="tk")  # noqa: S106
FULL = NTFY._replace(full=True)


def need(kind: str, **fields: str) -> Need:
    return Need(
        **{"key": f"{kind}:1", "kind": kind, "name": "ann", "text": "SECRET words", "since": SINCE, "id": "1", **fields}
    )


def link_of(one: Need) -> str:
    return f"https://ipc.example/a/{one.kind}"


@pytest.mark.parametrize("kind", KINDS)
def test_by_default_a_notice_says_kind_and_name_alone(kind: str) -> None:
    notice = notice_of(NTFY, need(kind, tool="SECRET", host="SECRET"), link_of)
    assert "SECRET" not in str(notice._replace(link="")) and "ann" in notice.title
    assert "SECRET words" in notice_of(FULL, need(kind), link_of).text


def test_only_questions_and_permissions_that_are_answered_here_have_a_link() -> None:
    linked = {kind for kind in KINDS if notice_of(NTFY, need(kind), link_of).link}
    assert linked == {"question", "permission"}
    assert notice_of(NTFY, need("question", id=""), link_of).link == ""


def test_a_link_to_this_machine_goes_to_its_desktop_alone() -> None:
    here = "http://127.0.0.1:9878/a/TOKEN"
    desktop = ChannelSettings("desktop", KINDS, full=False)
    assert notice_of(desktop, need("question"), lambda _need: here).link == here
    for channel in (NTFY, NTFY._replace(name="webhook"), NTFY._replace(url="http://127.0.0.1/t")):
        assert notice_of(channel, need("question"), lambda _need: here).link == ""


@pytest.mark.parametrize("token", ["", "tk"])
@pytest.mark.parametrize("url", ["https://ntfy.example/t", "http://ntfy.example/t", "http://127.0.0.1/t"])
def test_a_permission_goes_to_a_topic_with_a_token_over_a_private_way_alone(url: str, token: str) -> None:
    channel = NTFY._replace(url=url, token=token)
    private = url != "http://ntfy.example/t"
    assert is_for(channel, need("permission")) == ("permission" in channel.told) == (private and bool(token))
    assert is_for(channel, need("question"))
    assert bool(notice_of(channel, need("question"), link_of).link) == private, "a link over an open way is everybody's"


@pytest.mark.parametrize("kinds", list(itertools.combinations(KINDS, 2)))
def test_a_channel_hears_of_its_kinds_alone(kinds: tuple[str, ...]) -> None:
    channel = NTFY._replace(kinds=kinds)
    assert tuple(kind for kind in KINDS if is_for(channel, need(kind))) == kinds


def test_many_needs_at_once_are_told_by_their_number() -> None:
    needs = [need("question", key=f"question:{n}", name=f"a{n}") for n in range(30)]
    notices = notices_of(FULL, needs, link_of)
    assert len(notices) == MOST_AT_ONCE
    assert notices[-1].title == "26 more things wait for you" and "SECRET" not in str(notices[-1])
    assert [key for one in notices for key in one.keys] == [one.key for one in needs]
    assert len(notices_of(FULL, needs[:MOST_AT_ONCE], link_of)) == MOST_AT_ONCE


def test_an_id_stays_for_the_same_need_and_differs_for_another() -> None:
    ids = [notice_of(NTFY, need("question", key=key), link_of).id for key in ("question:1", "question:1", "question:2")]
    assert ids[0] == ids[1] != ids[2]
    assert len(ids[0]) <= 64 and ids[0].replace("_", "").isalnum()


def test_long_words_are_cut_and_invisible_ones_shown() -> None:
    notice = notice_of(FULL, need("permission", text="x" * 9000 + "\u202e", tool="Bash", host="claude"), link_of)
    assert notice.text.startswith("Bash (claude)\nxxx") and len(notice.text) < 1600
    assert "\\u202e" in notice_of(FULL, need("question", text="a\u202eb"), link_of).text
