"""Settings: precedence, origins, errors that name their place."""

import os
from pathlib import Path

import pytest

from broker.home.data_folder import prepare_home
from broker.home.files import FolderError, owner_key
from broker.home.settings import Settings, SettingsError


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


@pytest.mark.parametrize("text", ["shared_secret = 12345", "shared_secret = true", 'shared_secret = ["12345"]'])
def test_a_bad_secret_is_not_quoted(home: Path, text: str) -> None:
    (home / "config.toml").write_text(text)
    with pytest.raises(SettingsError, match="line 1: shared_secret must be text") as refused:
        Settings.load(env={"IPC_HOME": str(home)})
    assert text.partition("= ")[2] not in str(refused.value)


@pytest.mark.parametrize(
    ("name", "change", "says"),
    [
        ("config.toml", "mode", "can be written by others"),
        ("owner.key", "mode", "can be read by others"),
        ("config.toml", "owner", "belongs to another user"),
        ("owner.key", "owner", "belongs to another user"),
    ],
)
def test_files_that_others_could_have_written_are_not_read(home: Path, name: str, change: str, says: str) -> None:
    path = home / name
    path.write_text("port = 1")
    if change == "mode":
        path.chmod(0o646)
    elif os.geteuid() == 0:
        os.chown(path, 12345, 12345)
    else:
        pytest.skip("giving a file to another user needs root")
    with pytest.raises((SettingsError, OSError), match=says):
        owner_key(Settings.load(env={"IPC_HOME": str(home)}).home)


@pytest.mark.parametrize(("change", "says"), [("mode", "chmod go-w"), ("owner", "belongs to another user")])
def test_a_folder_for_large_messages_that_others_can_change_is_refused(
    home: Path, tmp_path: Path, change: str, says: str
) -> None:
    if change == "mode":
        tmp_path.chmod(0o777)
    elif os.geteuid() == 0:
        os.chown(tmp_path, 12345, 12345)
    else:
        pytest.skip("giving a folder to another user needs root")
    with pytest.raises(FolderError, match=says):
        prepare_home(Settings.load(env={"IPC_HOME": str(home), "IPC_LARGE_MESSAGE_DIR": str(tmp_path)}))
