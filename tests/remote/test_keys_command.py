"""What ``ipc keys`` says of a door that is open, closed, or not open yet."""

import json
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from broker.home.keys import new_pair
from tests.conftest import Service, wait_for
from tests.ports import free_port
from tests.remote.machines import Host


@pytest.mark.deep
def test_a_door_that_is_set_and_not_served_yet_is_not_shown_as_open(
    make_service: Callable[..., Service], home: Path, folder: Path
) -> None:
    here = Host(make_service().start(), folder)  # without the setting: it comes while the service runs
    address = f"tcp://127.0.0.1:{free_port()}"
    (home / "config.toml").write_text(f'remote = "{address}"\n')
    said = f"the door is not open yet: nothing serves {address}\nnext: ipc down, ipc up"
    shown = here.ipc("keys")
    assert f"{address}, not open yet" in shown
    assert said in shown
    assert json.loads(here.ipc("keys", "--json"))["door_error"] == f"nothing serves {address}"
    assert said in here.ipc("keys", "new", "fred")
    assert json.loads((folder / "fred.key").read_text())["endpoint"] == address
    assert said in here.ipc("keys", "allow", "wilma", new_pair().public)


@pytest.mark.deep
def test_a_door_whose_port_is_taken_says_so(make_service: Callable[..., Service], home: Path, folder: Path) -> None:
    port = free_port()
    state = home / "run" / "remote.json"
    with socket.create_server(("127.0.0.1", port)):
        here = Host(make_service(IPC_REMOTE=f"tcp://127.0.0.1:{port}").start(), folder)
        wait_for("the door's error", lambda: state.exists() and json.loads(state.read_text())["error"])
        for arguments in (("keys",), ("keys", "new", "fred")):
            shown = here.ipc(*arguments)
            assert "the door is not open yet: " in shown
            assert "Address already in use" in shown


@pytest.mark.deep
def test_an_open_door_is_shown_without_a_complaint(host: Host) -> None:
    shown = host.ipc("keys") + host.ipc("keys", "new", "fred")
    assert "next:" not in shown
    assert "--host" not in shown
    assert "IPC_KEY_FILE=~/fred.key ipc register fred" in shown
    assert json.loads(host.ipc("keys", "--json"))["door_error"] is None


@pytest.mark.deep
def test_a_host_name_that_was_guessed_is_told(make_service: Callable[..., Service], folder: Path) -> None:
    port = free_port()
    here = Host(make_service(IPC_REMOTE=f"tcp://0.0.0.0:{port}").start(), folder)
    here.address()
    guessed = here.ipc("keys", "new", "fred")
    assert f"at tcp://{socket.gethostname()}:{port}" in guessed
    assert f"{socket.gethostname()} is" in guessed
    assert "if the other machine knows this one by another name: --host" in guessed
    given = here.ipc("keys", "new", "wilma", "--host", "192.0.2.7")
    assert f"at tcp://192.0.2.7:{port}" in given
    assert "--host" not in given


@pytest.mark.deep
def test_who_lets_in_a_key_is_told_what_the_other_side_needs(host: Host) -> None:
    shown = host.ipc("keys", "allow", "fred", new_pair().public)
    found = json.loads(host.ipc("keys", "--json"))
    assert f"endpoint    {found['endpoint']}\n" in shown
    assert f"server_key  {found['server_key']}\n" in shown
    port = host.address()[1]
    given = json.loads(host.ipc("keys", "allow", "fred", new_pair().public, "--json"))
    assert given["endpoint"] == f"tcp://127.0.0.1:{port}"
    assert f"tcp://[2001:db8::7]:{port}" in host.ipc("keys", "allow", "fred", new_pair().public, "--host", "2001:db8::7")


@pytest.mark.deep
def test_where_no_door_is_set_the_hint_names_the_file(service: Service, folder: Path) -> None:
    here = Host(service, folder)
    for arguments, status in ((("keys",), 0), (("keys", "new", "fred"), 1)):
        assert f"in {service.home / 'config.toml'}, or IPC_REMOTE" in here.ipc(*arguments, status=status)
    assert not (folder / "fred.key").exists()
