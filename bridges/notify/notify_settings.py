"""``[notify]`` of config.toml: by which channels the person is told what waits, of which kinds, and in how many words.

[notify]
kinds = ["question", "permission", "stall", "bounce"]   # and "done"; a channel may have its own
body = "name"                 # kind and name alone; "full": the agent's words, too, for whoever can read the channel
desktop = true                # notify-send

[notify.ntfy]
url = "https://ntfy.sh/a-topic-nobody-guesses"
token_file = "ntfy.token"     # mode 0600, in the data folder; or token = "tk_..."

[notify.webhook]
url = "https://example.org/hook"
secret_file = "hook.secret"   # signed by standardwebhooks.com: whsec_ and base64, or 16 characters and more
"""

from typing import NamedTuple
from urllib.parse import urlsplit

from bridges.config_table import ConfigTable, config_table
from bridges.view.needs import KINDS
from bridges.webhook_signatures import secret_bytes

_USUAL = tuple(kind for kind in KINDS if kind != "done")
_BODIES = ("name", "full")
_LOOPBACK = ("127.0.0.1", "::1", "localhost")


class ChannelSettings(NamedTuple):
    """One channel. ``name`` is desktop, ntfy or webhook."""

    name: str
    kinds: tuple[str, ...]
    full: bool
    """The agent's words go along."""
    url: str = ""
    token: str = ""
    secret: bytes = b""

    @property
    def is_private(self) -> bool:
        """What is sent is encrypted on its way, or stays on this machine."""
        return not self.url or is_secure(self.url)

    @property
    def is_authenticated(self) -> bool:
        """Nobody reads it by guessing a name: a topic needs the token, a webhook goes to one place, the desktop is here."""
        return self.name != "ntfy" or bool(self.token)

    @property
    def told(self) -> tuple[str, ...]:
        """Its kinds; permissions only where nobody reads or answers by guessing a name."""
        safe = self.is_private and self.is_authenticated
        return tuple(kind for kind in self.kinds if safe or kind != "permission")


def read_channels(home: str) -> list[ChannelSettings]:
    """The channels of ``[notify]``; none without the table. Raises SettingsError."""
    table = config_table(home, "notify")
    if table is None:
        return []
    kinds, body = table.words("kinds", KINDS, _USUAL), table.choice("body", _BODIES, "name")
    found = []
    if table.flag("desktop"):
        found.append(ChannelSettings("desktop", kinds, body == "full"))
    for name in ("ntfy", "webhook"):
        inner = table.table(name)
        if inner is not None:
            found.append(_remote(inner, name, kinds, body))
    table.end()
    return found


def _remote(table: ConfigTable, name: str, kinds: tuple[str, ...], body: str) -> ChannelSettings:
    url = table.text("url")
    channel = ChannelSettings(name, table.words("kinds", KINDS, kinds), table.choice("body", _BODIES, body) == "full", url)
    if name == "ntfy":
        channel = channel._replace(token=table.secret("token"))
    else:
        try:
            channel = channel._replace(secret=secret_bytes(table.secret("secret")))
        except ValueError as e:
            table.fail("secret", f"is no good: {e}")
    table.end()
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.username is not None:
        table.fail("url", "must be http://HOST/... or https://HOST/..., without a user")
    if name == "ntfy" and not topic_of(url):
        table.fail("url", "must end in a topic, such as https://ntfy.sh/my-topic")
    if channel.token and not channel.is_private:
        table.fail("url", "must be https where a token goes along")
    return channel


def topic_of(url: str) -> str:
    return urlsplit(url).path.rstrip("/").rpartition("/")[2]


def is_secure(url: str) -> bool:
    parts = urlsplit(url)
    return parts.scheme == "https" or parts.hostname in _LOOPBACK
