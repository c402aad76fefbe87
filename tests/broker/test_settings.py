"""Settings: precedence, origins, errors that name their place."""

from pathlib import Path

import pytest

from broker.settings import Settings, SettingsError


def test_flag_beats_environment_beats_file_beats_default(home: Path) -> None:
    (home / "config.toml").write_text('port = 1111\nhost = "127.0.0.2"\nlease_s = 5\n')
    s = Settings.load(env={"IPC_HOME": str(home), "IPC_PORT": "2222", "IPC_HOST": "127.0.0.3"}, host="127.0.0.4")
    assert (s.port, s.host, s.lease_s, s.mailbox_limit) == (2222, "127.0.0.4", 5.0, 10_000)
    assert (s.origins["port"], s.origins["host"], s.origins["lease_s"]) == ("env IPC_PORT", "flag", "config.toml line 3")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("\nprot = 1", r"config.toml line 2: unknown setting 'prot'"),
        ('port = "x"', r"line 1: port must be a whole number"),
        ("port = 70000", r"line 1: port must be from 0 to 65535"),
        ("port = true", r"line 1: port must be a whole number"),
        ('durability = "fast"', r"line 1: durability must be one of full, normal"),
        ("port = \nhost = 1", r"config.toml: Invalid value .*line 1"),
        ("[instances.fred]\nrate = 1", r"line 2 \(instances.fred\): unknown setting 'rate'"),
    ],
)
def test_a_bad_config_names_file_and_line(home: Path, text: str, says: str) -> None:
    (home / "config.toml").write_text(text)
    with pytest.raises(SettingsError, match=says):
        Settings.load(env={"IPC_HOME": str(home)})


def test_a_bad_variable_is_named(home: Path) -> None:
    with pytest.raises(SettingsError, match="environment variable IPC_PORT: port must be a whole number"):
        Settings.load(env={"IPC_HOME": str(home), "IPC_PORT": "99x"})


def test_the_shared_secret_is_not_shown(home: Path) -> None:
    s = Settings.load(env={"IPC_HOME": str(home), "IPC_SHARED_SECRET": "hush"})
    assert "hush" not in str(s.public())
