"""The files of keys are private, whole, and never replaced by accident."""

import json
import os
from dataclasses import asdict
from pathlib import Path

import pytest

from bridges.nats.layout import mail_subject
from bridges.nats.site_file import AdminFile, SiteFile, is_server
from broker.home.files import FolderError
from broker.protocol.addresses import is_site
from broker.protocol.errors import SettingsError

SERVERS = ("nats://one.example:4222", "tls://[::1]:4222")
ROME = SiteFile("rome", SERVERS, "SU" + 56 * "A", 64 * "0", 64 * "f")
ADMIN = AdminFile(SERVERS, "SU" + 56 * "A", 64 * "1", "-----BEGIN CERTIFICATE-----\n")


def test_a_file_comes_back_as_it_was_and_is_the_owners_alone(home: Path) -> None:
    ROME.save(home / "rome.site")
    ADMIN.save(home / "admin.json")
    assert SiteFile.load(home / "rome.site") == ROME
    assert AdminFile.load(home / "admin.json") == ADMIN
    assert os.stat(home / "rome.site").st_mode & 0o777 == 0o600
    assert ROME.nkey not in repr(ROME) and ROME.sign not in repr(ROME)


def test_a_file_is_replaced_only_on_purpose(home: Path) -> None:
    ROME.save(home / "rome.site")
    with pytest.raises(FileExistsError):
        ROME.save(home / "rome.site")
    ROME.save(home / "rome.site", replace=True)


def test_a_file_that_others_may_read_is_refused(home: Path) -> None:
    ROME.save(home / "rome.site")
    os.chmod(home / "rome.site", 0o644)
    with pytest.raises(FolderError, match="chmod 600"):
        SiteFile.load(home / "rome.site")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("site", "Rome"),
        ("site", 7),
        ("servers", []),
        ("servers", ["http://one"]),
        ("servers", 7),
        ("nkey", "UA"),
        ("nkey", None),
        ("sign", "0"),
        ("admin", 64 * "g"),
        ("ca", "no certificate"),
        ("ca", 7),
    ],
)
def test_a_file_with_a_bad_field_is_refused_without_its_secrets(home: Path, name: str, value: object) -> None:
    path = home / "rome.site"
    path.write_text(json.dumps({**asdict(ROME), name: value}))
    path.chmod(0o600)
    with pytest.raises(SettingsError, match="no site's file") as refused:
        SiteFile.load(path)
    assert ROME.sign not in str(refused.value)


@pytest.mark.parametrize("text", ["", "[]", "{}", "7", '{"servers": []}'])
def test_what_is_no_file_of_keys_is_refused(home: Path, text: str) -> None:
    path = home / "file"
    path.write_text(text)
    path.chmod(0o600)
    with pytest.raises(SettingsError, match="no site's file"):
        SiteFile.load(path)
    with pytest.raises(SettingsError, match="no admin's file"):
        AdminFile.load(path)


def test_names_of_sites_and_servers() -> None:
    assert [name for name in ("rome", "r-2", "", "Rome", "a.b", "a_b", 33 * "a", None, "*") if is_site(name)] == ["rome", "r-2"]
    urls = ("nats://h", "tls://h:1", "nats://[::1]:4222", "h:4222", "nats://", "nats://u:p@h", "nats://h:4222/x", None)
    assert [url for url in urls if is_server(url)] == ["nats://h", "tls://h:1", "nats://[::1]:4222"]


def test_all_mail_for_a_site_is_in_one_stream() -> None:
    assert mail_subject("rome", "paris", 1) == "ipc.in.0.rome.paris"
    assert {mail_subject("rome", source, 16).split(".")[2] for source in ("paris", "berlin")} == {"11"}
