"""Where the broker listens: the folder of its sockets, its ZeroMQ endpoint, and whether something answers there."""

import os
import socket
import stat

from broker.home.files import private_folder
from broker.home.local_sockets import WAY_OUT, check_peer
from broker.home.paths import socket_folder, wire_socket
from broker.home.settings import Settings


class EndpointRefused(OSError):
    """An endpoint that would let strangers in."""


def prepare_sockets(settings: Settings) -> None:
    """Make the folder of the sockets, private.

    Outside the data folder it is in one for temporary files, where somebody else may have made it first: then it is refused.
    """
    home = str(settings.home)
    folder = socket_folder(home)
    private_folder(folder, may_be_link=os.path.dirname(folder) == home, way_out=WAY_OUT)


def clear_socket(settings: Settings, path: str) -> None:
    """Make room for a socket in the run folder. The caller holds the lock on it: a socket that is there is a dead process's."""
    prepare_sockets(settings)
    if os.path.lexists(path) and stat.S_ISSOCK(os.lstat(path).st_mode):
        os.unlink(path)


def endpoint(settings: Settings) -> str:
    """The ZeroMQ endpoint of the broker."""
    return settings.endpoint or f"ipc://{os.path.join(socket_folder(str(settings.home)), 'broker.sock')}"


def check_endpoint(settings: Settings) -> None:
    """Raise EndpointRefused for a TCP endpoint that others could use: this one has neither keys nor encryption.

    Beyond loopback none is allowed; the remote door is for that. On loopback every user of the machine can connect, and the
    broker can't tell who it is: a shared secret is needed.
    """
    import ipaddress

    scheme, _, rest = endpoint(settings).partition("://")
    if scheme == "ipc":
        return
    host = rest.rpartition(":")[0].strip("[]")
    try:
        loopback = ipaddress.ip_address(host).is_loopback
    except ValueError:
        loopback = host == "localhost"
    if scheme != "tcp" or not loopback:
        raise EndpointRefused(
            f"the endpoint {scheme}://{rest} is refused: use ipc://PATH, or tcp:// on a loopback address. For other machines "
            f'there is the remote door, with keys: IPC_REMOTE=tcp://HOST:PORT (remote = "tcp://..." in config.toml)'
        )
    if not settings.shared_secret:
        raise EndpointRefused(f"the endpoint tcp://{rest} without a shared secret is refused: set IPC_SHARED_SECRET")


def socket_answers(settings: Settings) -> bool:
    """True if something listens at the broker's endpoint. Costs no ZeroMQ and no round trip.

    Raises IpcError ``unavailable`` if it is another OS user's.
    """
    if not settings.endpoint and _listens(socket.AF_UNIX, wire_socket(str(settings.home))):
        return True  # a connection to the other would have the broker load libzmq, which perhaps nobody uses
    scheme, _, rest = endpoint(settings).partition("://")
    if scheme == "ipc":
        return _listens(socket.AF_UNIX, rest)
    if scheme == "tcp":
        host, _, port = rest.rpartition(":")
        return _listens(socket.AF_INET, (host, int(port)))
    return True


def _listens(family: socket.AddressFamily, target: str | tuple[str, int]) -> bool:
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.settimeout(1.0)
        try:
            probe.connect(target)
        except OSError:
            return False
        if isinstance(target, str):
            check_peer(probe, target)
    return True
