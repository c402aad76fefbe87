"""The person's own session: one for page, terminal view and answers from elsewhere, kept as a shell's is.

A person is an instance like any. The session is kept in ``sessions/cli-NAME.json``, so a shell that says ``--as NAME`` is the
same person. Where the person's shell has registered the name, its session is used as it is.
"""

from __future__ import annotations

import getpass
import os

from bridges import saved_sessions, shell_names
from bridges.folder_names import clean
from bridges.session_renewal import proof, resumed
from broker.client.json_lines import QuickConnection
from broker.client.own_body import own_body
from broker.home.files import owner_key
from broker.protocol.errors import IpcError, RemoteError
from broker.protocol.names import is_name

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from broker.home.settings import Settings

_ASK_S = 5.0
_OTHER_BODY = "bad_request"
"""Answer of ``person`` to a session of the person's shell: the broker knows by its terminal that a person types there."""


def person_name(settings: Settings) -> str:
    """What the person is called: as the settings say, or by the login name as far as it is a name."""
    if settings.person:
        return settings.person
    try:
        login = getpass.getuser()
    except (KeyError, OSError):  # a user without an entry, as in a container
        login = f"user-{os.getuid()}"
    return login if is_name(login) else clean(login)


def person_session(settings: Settings, name: str = "", *, door: str) -> tuple[str, str]:
    """(name, token) of the person, whose name is taken at first use. Raises IpcError, such as ``name_held``.

    ``name``: another name that a shell of this user has registered. It blocks for as long as the broker takes to answer.
    """
    home, own = str(settings.home), person_name(settings)
    name = name or own
    with saved_sessions.one_at_a_time(home), QuickConnection(settings, autostart=False, door=door) as connection:

        def ask(action: str, **fields: Any) -> dict[str, Any]:
            return connection.request({"action": action, **fields}, timeout_s=_ASK_S)

        kept = shell_names.of_name(home, name)
        if kept is not None:
            name, token = resumed(ask, home, kept.name, kept.token, settings.shared_secret, own_body())
        elif name == own:
            request = {"instance_id": name, "auth_token": proof(name, settings.shared_secret), "body": own_body()}
            token = str(ask("register", **request)["session_token"])
            saved_sessions.write_json(saved_sessions.shell_path(home, name), {"name": name, "token": token})
        else:
            raise IpcError("unknown_name", name=name)
        try:
            ask("person", session_token=owner_key(home), by=token)
        except RemoteError as e:
            if e.code != _OTHER_BODY:
                raise
        return name, token
