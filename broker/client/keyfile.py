"""The key file, with which a program of another machine reaches a broker: its address, its key, and the client's own pair.

``ipc keys new NAME`` writes it, $IPC_KEY_FILE names it. With one, clients connect by CURVE (RFC 26): both ends prove their
keys before the first request, and all that passes is encrypted.
"""

import json
import socket
import time
from dataclasses import dataclass
from pathlib import Path

from broker.home.files import read_private, write_private
from broker.home.keys import KeyPair, read_key
from broker.protocol.errors import IpcError, SettingsError
from broker.protocol.names import is_name

CONNECT_DEADLINE_S = 5.0
"""Seconds for which a door that does not answer is tried; a door that died is back by then."""
_POLL_S = 0.1


@dataclass(frozen=True, slots=True)
class KeyFile:
    """``endpoint`` is tcp://HOST:PORT; the keys are hex."""

    name: str
    endpoint: str
    server_key: str
    pair: KeyPair

    @classmethod
    def load(cls, path: str) -> "KeyFile":
        """Read the file. Raises SettingsError where it can't be read, is not private or is no key file."""
        try:
            stored = json.loads(read_private(Path(path).expanduser()))
            pair = KeyPair(read_key(stored["public_key"]), read_key(stored["secret_key"]))
            found = cls(stored["name"], stored["endpoint"], read_key(stored["server_key"]), pair)
            _address(found.endpoint)
        except OSError as e:
            raise SettingsError(f"key file {path}: {e.strerror}" if e.strerror else str(e)) from None
        except (ValueError, KeyError, TypeError, AttributeError):  # what was read is a secret, so it is not shown
            raise SettingsError(f"{path} is no key file; ask for one: ipc keys new NAME") from None
        if not is_name(found.name):
            raise SettingsError(f"{path} is no key file; ask for one: ipc keys new NAME")
        return found

    def save(self, path: Path) -> None:
        """Write the file, mode 0600. Raises FileExistsError where something is: no key is replaced by accident."""
        fields = {"name": self.name, "endpoint": self.endpoint, "server_key": self.server_key}
        text = json.dumps({**fields, "public_key": self.pair.public, "secret_key": self.pair.secret}, indent=1) + "\n"
        if path.exists() or path.is_symlink():
            raise FileExistsError(f"{path} exists already; choose another with --out")
        write_private(path, text, replace=False, durable=True)

    @property
    def tag(self) -> str:
        """12 hex digits that tell saved sessions at this broker from those at others."""
        import hashlib  # with OpenSSL, 1 MB

        return hashlib.sha256(f"{self.server_key} {self.pair.public}".encode()).hexdigest()[:12]

    def wait_until_reachable(self, deadline_s: float = CONNECT_DEADLINE_S) -> None:
        """Return once something listens at the endpoint. Raises IpcError ``unavailable`` after ``deadline_s`` seconds."""
        end = time.monotonic() + deadline_s
        while True:
            try:
                socket.create_connection(_address(self.endpoint), timeout=deadline_s).close()
                return
            except OSError as e:
                if time.monotonic() > end:
                    detail = f"nothing answers at {self.endpoint} ({e.strerror or e})"
                    raise IpcError("unavailable", detail=detail) from None
            time.sleep(_POLL_S)

    def wrong_server(self) -> IpcError:
        """What answers at the endpoint does not have the server's key."""
        return IpcError("wrong_server", endpoint=self.endpoint, name=self.name)

    def refused(self) -> IpcError:
        """The broker does not know this key, or knows it no more."""
        return IpcError("key_refused", name=self.name, key=self.pair.public)


def _address(endpoint: str) -> tuple[str, int]:
    scheme, _, rest = endpoint.partition("://")
    host, _, port = rest.rpartition(":")
    if scheme != "tcp" or not host or not port.isdigit():
        raise ValueError(endpoint)
    return host.strip("[]"), int(port)
