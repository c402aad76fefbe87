"""``[webhooks.NAME]``: what is wrong is named with file and line, and no secret is shown."""

from pathlib import Path

import pytest

from bridges.answers.webhook_settings import read_webhooks
from broker.protocol.errors import SettingsError

GOOD = '[webhooks.ci]\nform = "github"\nsecret = "sixteen letters or more"\nto = "fred"\n'


def test_a_home_without_the_table_has_no_sources(home: Path) -> None:
    assert read_webhooks(str(home)) == {}
    (home / "config.toml").write_text("port = 0\n")
    assert read_webhooks(str(home)) == {}


def test_sources_are_read_with_their_secrets_from_a_private_file(home: Path) -> None:
    secret = home / "ci.secret"
    secret.write_text("sixteen letters or more\n")
    secret.chmod(0o600)
    (home / "config.toml").write_text(
        GOOD.replace('secret = "sixteen letters or more"', 'secret_file = "ci.secret"') + '[webhooks."a-b"]\nform = "generic"\n'
        'secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"\nto = "crew"\nland = "digest"\n'
    )
    ci, other = read_webhooks(str(home)).values()
    assert (ci.name, ci.form, ci.secret, ci.to, ci.land) == ("ci", "github", b"sixteen letters or more", "fred", "tool")
    assert (other.name, other.form, len(other.secret), other.land) == ("a-b", "generic", 24, "digest")
    secret.chmod(0o644)
    with pytest.raises(SettingsError, match=r"line 3: webhooks.ci.secret_file can't be read: .*chmod 600"):
        read_webhooks(str(home))


@pytest.mark.parametrize(
    ("config", "said"),
    [
        (GOOD.replace("github", "gitlab"), "line 2: webhooks.ci.form must be one of github, generic, not 'gitlab'"),
        (GOOD.replace('form = "github"\n', ""), "line 1: webhooks.ci.form must be one of"),
        (GOOD.replace("sixteen letters or more", "short"), "line 3: webhooks.ci.secret must have 16 characters or more"),
        (GOOD.replace('"fred"', '"not a name"'), "line 4: webhooks.ci.to must be the name"),
        (GOOD.replace('"fred"', "5"), "line 4: webhooks.ci.to must be text"),
        (GOOD + "colour = 1\n", "line 5: webhooks.ci.colour is unknown. Known: form, to, secret, secret_file, land"),
        (GOOD + 'land = "now"\n', "line 5: webhooks.ci.land must be one of digest"),
        (GOOD + 'secret_file = "x"\n', "line 3: webhooks.ci.secret and secret_file say the same thing"),
        (f"port = 0\n\n{GOOD.replace('ci', 'x' * 25)}", "line 3: webhooks.xxx"),
        ("port = 0\n[webhooks]\nci = 5\n", "line 3: webhooks.ci must be a table"),
    ],
)
def test_a_fault_is_named_with_its_line_and_without_the_secret(home: Path, config: str, said: str) -> None:
    (home / "config.toml").write_text(config)
    with pytest.raises(SettingsError) as found:
        read_webhooks(str(home))
    assert said in str(found.value)
    assert "sixteen" not in str(found.value) and "short" not in str(found.value)
