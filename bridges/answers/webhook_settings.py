"""``[webhooks.NAME]`` of config.toml: who may deliver mail by a webhook, to whom, and the secret that proves it.

[webhooks.ci]
form = "github"               # or "generic": standardwebhooks.com
secret_file = "ci.secret"     # mode 0600, in the data folder; or secret = "..."
to = "builder"                # a name or group of this site
land = "turn"                 # when it may reach its reader; "tool" unless set
"""

from collections.abc import Callable
from typing import NamedTuple, NoReturn

from bridges.config_table import config_table
from bridges.webhook_signatures import secret_bytes
from broker.protocol.essentials import LANDINGS
from broker.protocol.names import WEBHOOK, is_name

FORMS = ("github", "generic")
_SHORTEST = 16


class Webhook(NamedTuple):
    """One source."""

    name: str
    form: str
    secret: bytes
    to: str
    land: str


def read_webhooks(home: str) -> dict[str, Webhook]:
    """The sources by name; none without the table. Raises SettingsError."""
    found: dict[str, Webhook] = {}
    tables = config_table(home, "webhooks")
    for name in tables.names() if tables is not None else ():
        assert tables is not None
        table = tables.table(name)
        assert table is not None
        if not is_name(WEBHOOK + name):
            table.fail("", "must have a name of 1-24 letters, digits, - or _: its mail is from webhook-NAME")
        form, to, secret = table.choice("form", FORMS), table.text("to"), table.secret("secret")
        land = table.choice("land", LANDINGS, "tool")
        table.end()
        if not is_name(to):
            table.fail("to", "must be the name of an agent or a group of this site")
        found[name] = Webhook(name, form, _checked(table.fail, form, secret), to, land)
    return found


def _checked(fail: Callable[[str, str], NoReturn], form: str, secret: str) -> bytes:
    """GitHub's secret is the text as it is. Neither is ever shown."""
    try:
        if form == "generic":
            return secret_bytes(secret)
    except ValueError as e:
        fail("secret", f"is no good: {e}")
    if len(secret) < _SHORTEST:
        fail("secret", f"must have {_SHORTEST} characters or more (secret = ..., or secret_file = a file of mode 0600)")
    return secret.encode()
