"""What ``ipc install`` and ``ipc uninstall`` find of other people's, and leave as it is."""

import json
from pathlib import Path

import pytest

from tests.install.user import User, user

__all__ = ["user"]

FOLDERS = {
    "claude": ".claude/skills/agent-ipc",
    "qwen": ".qwen/extensions/agent-ipc",
    "copilot": ".copilot/extensions/agent-ipc",
}


@pytest.mark.parametrize("host", FOLDERS)
def test_a_folder_of_our_name_that_is_not_ours_is_refused_whole(user: User, host: str) -> None:
    user.write(f"{FOLDERS[host]}/.git/config", "x")
    user.write(f"{FOLDERS[host]}/notes.md", "mine")
    before = user.files()
    done = user.run("install", host)
    assert done.returncode == 2 and "holds files that are not ours" in done.stderr and "Move it elsewhere" in done.stderr
    assert "Not installed in" in user.ok("uninstall", host)
    assert user.files() == before


@pytest.mark.parametrize("noted", [True, False], ids=["noted", "earlier note"])
def test_files_of_others_in_our_folder_outlive_install_and_uninstall(user: User, noted: bool) -> None:
    user.ok("install", "claude")
    if not noted:
        note = user.home / "ipc/hosts/installed.json"
        known = json.loads(note.read_text())
        del known["claude"]["files"]
        note.write_text(json.dumps(known))
    user.write(f"{FOLDERS['claude']}/.git/config", "x")
    user.write(f"{FOLDERS['claude']}/hooks/mine.md", "mine")
    user.ok("install", "claude", "--name", "fred")
    assert "it holds files that are not ours" in user.ok("uninstall", "claude")
    assert {name: text for name, text in user.files().items() if text} == {
        f"{FOLDERS['claude']}/.git/config": "x",
        f"{FOLDERS['claude']}/hooks/mine.md": "mine",
    }
    assert "Not installed in" in user.ok("uninstall", "claude")


def test_a_file_that_an_earlier_version_wrote_goes_with_the_next(user: User) -> None:
    user.ok("install", "claude")
    old = user.write(f"{FOLDERS['claude']}/old/hooks.json", "{}")
    note = user.home / "ipc/hosts/installed.json"
    known = json.loads(note.read_text())
    known["claude"]["files"].append(str(old))
    note.write_text(json.dumps(known))
    user.ok("install", "claude", "--name", "fred")
    assert not old.parent.exists()
    user.ok("uninstall", "claude")
    assert not (user.home / FOLDERS["claude"]).exists()


@pytest.mark.parametrize("inner", ["", "/hooks"])
def test_a_link_is_not_followed(user: User, inner: str) -> None:
    target = user.write("work/hooks.json", "mine").parent
    link = Path(f"{user.home / FOLDERS['qwen']}{inner}")
    link.parent.mkdir(parents=True)
    link.symlink_to(target)
    done = user.run("install", "qwen")
    assert done.returncode == 2 and f"{link} is a link" in done.stderr
    assert [path.name for path in target.iterdir()] == ["hooks.json"]
    link.unlink()
    user.ok("install", "qwen")
    folder = user.home / FOLDERS["qwen"]
    folder.rename(user.home / "moved")
    folder.symlink_to(user.home / "moved")
    done = user.run("uninstall", "qwen")
    assert done.returncode == 2 and "is a link" in done.stderr and (user.home / "moved/qwen-extension.json").exists()
    folder.unlink()
    user.ok("uninstall", "qwen")
