"""``[notify]``: channels, kinds and words; faults by file and line, and no secret shown."""

from pathlib import Path

import pytest

from bridges.notify.notify_settings import read_channels
from broker.home.settings import Settings
from broker.protocol.errors import SettingsError
from tests.notify.receiving import SECRET

NTFY = '[notify]\n[notify.ntfy]\nurl = "https://ntfy.example/topic"\ntoken = "tk_hidden"\n'
WEBHOOK = f'[notify]\n[notify.webhook]\nurl = "https://example.org/hook"\nsecret = "{SECRET}"\n'


def test_a_section_is_seen_by_the_supervisor_and_none_is_not(home: Path) -> None:
    assert not Settings.load(env={"IPC_HOME": str(home)}).notify
    (home / "config.toml").write_text("[notify]\n")
    assert Settings.load(env={"IPC_HOME": str(home)}).notify
    assert read_channels(str(home)) == []


def test_channels_take_kinds_and_words_from_the_section_or_their_own(home: Path) -> None:
    (home / "config.toml").write_text(
        '[notify]\ndesktop = true\nkinds = ["stall"]\nbody = "full"\n'
        '[notify.ntfy]\nurl = "http://[::1]:8080/sub/topic"\nkinds = ["question", "done"]\nbody = "name"\n'
    )
    desktop, ntfy = read_channels(str(home))
    assert (desktop.name, desktop.kinds, desktop.full) == ("desktop", ("stall",), True)
    assert (ntfy.name, ntfy.kinds, ntfy.full, ntfy.token) == ("ntfy", ("question", "done"), False, "")
    assert (ntfy.is_private, ntfy.is_authenticated) == (True, False)


def test_the_usual_kinds_are_all_but_done_and_the_usual_words_are_none(home: Path) -> None:
    (home / "config.toml").write_text(NTFY)
    (ntfy,) = read_channels(str(home))
    assert (ntfy.kinds, ntfy.full) == (("question", "permission", "stall", "bounce"), False)


def test_a_secret_may_stand_in_a_private_file(home: Path) -> None:
    (home / "hook.secret").write_text(f"{SECRET}\n")
    (home / "hook.secret").chmod(0o600)
    (home / "config.toml").write_text(WEBHOOK.replace(f'secret = "{SECRET}"', 'secret_file = "hook.secret"'))
    assert len(read_channels(str(home))[0].secret) == 24


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ("[notify]\nkinds = 5\n", "line 2: notify.kinds must be a list of texts"),
        ('[notify]\nbody = "long"\n', "line 2: notify.body must be one of name, full"),
        ('[notify]\ndesktop = "yes"\n', "line 2: notify.desktop must be true or false"),
        ("[notify]\nemail = true\n", "line 2: notify.email is unknown. Known: kinds, body, desktop"),
        ("[notify]\nntfy = 5\n", "line 2: notify.ntfy must be a table"),
        (NTFY.replace("/topic", "/"), "line 3: notify.ntfy.url must end in a topic"),
        (NTFY.replace("https://ntfy.example", "ftp://x"), "line 3: notify.ntfy.url must be http"),
        (NTFY.replace("https://", "https://me:pw@"), "line 3: notify.ntfy.url must be http"),
        (NTFY.replace("https", "http"), "line 3: notify.ntfy.url must be https where a token goes along"),
        (
            NTFY + 'kinds = ["alarm"]\n',
            "line 5: notify.ntfy.kinds knows question, permission, stall, bounce, done, and not 'alarm'",
        ),
        (WEBHOOK.replace(SECRET, "hidden"), "line 4: notify.webhook.secret is no good: it has fewer than 16 bytes"),
        (WEBHOOK.replace(f'secret = "{SECRET}"', ""), "line 2: notify.webhook.secret is no good"),
        (WEBHOOK + "tries = 3\n", "line 5: notify.webhook.tries is unknown"),
    ],
)
def test_a_fault_is_named_with_its_line_and_without_secrets(home: Path, config: str, said: str) -> None:
    (home / "config.toml").write_text(config)
    with pytest.raises(SettingsError) as found:
        read_channels(str(home))
    assert said in str(found.value)
    assert "hidden" not in str(found.value) and "me:pw" not in str(found.value)
