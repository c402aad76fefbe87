"""What the ipc_*.py scripts share: the session file and one request over TCP.

Standard library only, Python 3.8 or later, any platform; copy the folder anywhere. Port and host are $IPC_PORT and $IPC_HOST,
else those that the service has written into its data folder ($IPC_HOME, or the platform's), else 9876 and 127.0.0.1. The
session is kept in ~/.ipc-session, readable by its owner only. Where $IPC_TLS_CA names a file with the server's certificate,
or that of its issuer, the connection is encrypted.
"""

import contextlib
import hashlib
import json
import os
import re
import socket
import struct
import subprocess
import sys
import time
import uuid

SESSION_FILE = os.path.join(os.path.expanduser("~"), ".ipc-session")
TIMEOUT_S = 10.0
START_DEADLINE_S = 10.0
_ANYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104
_HIDDEN = re.compile(  # controls but tab and newline, all that Unicode calls default ignorable, and what looks like nothing
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\u00ad\u034f\u061c\u115f-\u1160\u17b4-\u17b5\u180b-\u180f\u200b-\u200f\u2028-\u202e"
    "\u2060-\u206f\u2800\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufffb\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff]"
)


class ScriptError(Exception):
    """A sentence for the person who ran the script."""


def address():
    """(host, port) of the service; asked anew each time, since a service that has just started may have another port."""
    door = {} if os.environ.get("IPC_PORT") and os.environ.get("IPC_HOST") else _door()
    port = os.environ.get("IPC_PORT") or str(door.get("port") or 9876)
    if not port.isdigit():
        raise ScriptError("IPC_PORT must be a number, not %r" % port)
    host = os.environ.get("IPC_HOST") or _ANYWHERE.get(door.get("host"), door.get("host"))
    return host or "127.0.0.1", int(port)


def _door():
    """What the service's port says of itself; empty where there is none."""
    try:
        with open(os.path.join(_data_folder(), "run", "tcp.json"), encoding="utf-8") as f:
            door = json.load(f)
    except (OSError, ValueError):
        return {}
    return door if isinstance(door, dict) and not door.get("error") else {}


def _data_folder():
    """$IPC_HOME, or where the platform keeps the data of users' programs."""
    home = os.path.expanduser("~")
    if os.environ.get("IPC_HOME"):
        return os.path.abspath(os.path.expanduser(os.environ["IPC_HOME"]))
    if sys.platform == "darwin":
        return os.path.join(home, "Library", "Application Support", "agent-ipc")
    if sys.platform == "win32":
        return os.path.join(os.environ.get("LOCALAPPDATA") or os.path.join(home, "AppData", "Local"), "agent-ipc")
    return os.path.join(os.environ.get("XDG_DATA_HOME") or os.path.join(home, ".local", "share"), "agent-ipc")


def request(body, read=None, timeout_s=TIMEOUT_S):
    """Send one request and return its reply; start the service if nothing listens and it is installed here.

    ``read`` is called with the reply before its mail is acknowledged. Where it raises or is killed, the mail comes back.
    """
    try:
        return _exchange(body, read, timeout_s)
    except ConnectionRefusedError:
        if _certificate():
            raise ScriptError("nothing listens at %s:%d" % address()) from None
        _start_service()
        return _exchange(body, read, timeout_s)


def _certificate():
    return os.environ.get("IPC_TLS_CA") or ""


def _connect(timeout_s):
    s = socket.create_connection(address(), timeout=timeout_s)
    if not _certificate():
        return s
    import ssl

    try:
        context = ssl.create_default_context(cafile=_certificate())
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        return context.wrap_socket(s, server_hostname=address()[0])
    except OSError as e:
        s.close()
        raise ScriptError("no encrypted connection to %s:%d with IPC_TLS_CA=%s: %s" % (*address(), _certificate(), e)) from None


def _say_goodbye(s):
    """TLS's own end, which acknowledges what was read; without TLS the connection's end does."""
    if _certificate():
        with contextlib.suppress(OSError):
            s.unwrap()


def _exchange(body, read, timeout_s):
    try:
        with _connect(timeout_s) as s:
            if read is not None:
                _end_by(s, reset=True)
            s.sendall(json.dumps(body).encode("utf-8"))
            reply = _reply(s)
            if reply is not None:
                if read is not None:
                    read(reply)
                    _end_by(s, reset=False)
                _say_goodbye(s)  # our close then acknowledges what was read
                return reply
    except ConnectionRefusedError:
        raise
    except (OSError, ValueError) as e:
        hint = _hint() if isinstance(e, ConnectionError) else "ipc doctor"
        raise ScriptError("no answer at %s:%d (%s). Next: %s" % (*address(), e, hint)) from None
    raise ScriptError("the service at %s:%d closed the connection without an answer. Next: %s" % (*address(), _hint()))


def _end_by(s, reset):
    """How the connection ends from now on, also where this process is killed: a reset gives mail back."""
    s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("hh" if os.name == "nt" else "ii", reset, 0))


def _reply(s):
    """What the server answers; None where it ends the connection before that."""
    chunks = []
    while True:
        chunk = s.recv(65536)
        if not chunk:
            return None
        chunks.append(chunk)
        try:
            return json.loads(b"".join(chunks).decode("utf-8"))
        except ValueError:
            continue


def _hint():
    """What to do where the service hangs up: a port with TLS does so on who speaks in clear."""
    return "ipc doctor" if _certificate() else "ipc doctor, or set IPC_TLS_CA if the port wants TLS"


def _start_service():
    """Start the service with whichever ipc command can be found, and wait until its port answers."""
    try:
        started = subprocess.run(["ipc", "up"], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    except OSError:
        raise ScriptError("nothing listens at %s:%d. Next: ipc up" % address()) from None
    if started.returncode != 0:
        raise ScriptError("the service can't be started: %s" % started.stderr.decode("utf-8", "replace").strip())
    end = time.monotonic() + START_DEADLINE_S
    while True:
        try:
            socket.create_connection(address(), timeout=1.0).close()
            return
        except OSError:
            if time.monotonic() > end:
                raise ScriptError("nothing listens at %s:%d. Next: ipc doctor" % address()) from None
            time.sleep(0.05)


def call(action, read=None, **fields):
    """A request of the present session; the reply if it is ok, else ScriptError with the broker's sentence and hint.

    ``read`` is called with an ok reply before its mail is acknowledged.
    """
    name, token = load_session()
    own = {"send": "from_id", "broadcast": "from_id", "check": "instance_id", "rename": "old_id"}.get(action)
    body = dict(fields, action=action, session_token=token)
    if own:
        body[own] = name
    return _checked(request(body, None if read is None else lambda reply: read(_checked(reply))))


def register(name, force=False):
    """Take a name. The token that is kept shows that we are who had it; ``force`` takes it from somebody else."""
    secret = os.environ.get("IPC_SHARED_SECRET", "")
    proof = hashlib.sha256(("%s:%s" % (name, secret)).encode("utf-8")).hexdigest() if secret else ""
    body = {"action": "register", "instance_id": name, "auth_token": proof, "force": force}
    with contextlib.suppress(ScriptError):
        body["session_token"] = load_session()[1]
    reply = _checked(request(body))
    save_session(name, reply["session_token"])
    return reply


def _checked(reply):
    if reply.get("status") != "ok":
        hint = " " + reply["hint"] if reply.get("hint") else ""
        raise ScriptError("%s.%s" % (str(reply.get("message", "error")).rstrip("."), hint))
    return reply


def load_session():
    try:
        with open(SESSION_FILE, encoding="utf-8") as f:
            session = json.load(f)
        return session["instance_id"], session["session_token"]
    except FileNotFoundError:
        raise ScriptError("not registered. Next: ipc_register.py NAME") from None
    except (ValueError, KeyError, TypeError, OSError) as e:
        raise ScriptError("%s can't be read (%s). Next: ipc_register.py NAME" % (SESSION_FILE, e)) from None


def save_session(name, token):
    temporary = "%s.%d.tmp" % (SESSION_FILE, os.getpid())
    fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(fd, "w", encoding="utf-8") as f:
        json.dump({"instance_id": name, "session_token": token}, f)
    os.replace(temporary, SESSION_FILE)


def printable(text):
    """Text of others, without what could steer a terminal."""
    return _HIDDEN.sub("?", str(text))


def show(text):
    """Print at once, whatever the terminal's encoding. Raises ScriptError where nothing can be printed."""
    if sys.stdout is None:
        raise ScriptError("standard output is closed")
    try:
        encoding = sys.stdout.encoding or "utf-8"
        print(text.encode(encoding, "replace").decode(encoding), flush=True)
    except OSError as e:
        with contextlib.suppress(OSError, ValueError):  # or the interpreter would try again as it ends, and say so
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise ScriptError("can't write to standard output: %s" % (e.strerror or e)) from None


def take_id(arguments):
    """(message id, the other arguments): that of a leading ``--id ID``, or a new one."""
    if arguments[:1] == ["--id"] and len(arguments) > 1:
        return arguments[1], arguments[2:]
    return uuid.uuid4().hex, arguments


def sent(reply, text):
    """Show what became of a message."""
    show(text)
    if reply.get("duplicate"):
        show(reply.get("note") or "It was sent before with this id, and not again")
    if reply.get("did_you_mean"):
        show("Did you mean %s?" % reply["did_you_mean"])
    if reply.get("unreached"):
        show(reply["reach"])


def run(main, usage, least, most=None):
    """Call ``main`` with the arguments; print errors as one line and exit with 1, wrong usage with 2."""
    arguments = sys.argv[1:]
    try:
        if arguments in (["-h"], ["--help"]):
            show("usage: %s" % usage)
            return 0
        words = take_id(arguments)[1] if "[--id ID]" in usage else arguments
        given = len([word for word in words if word != "--force" or "[--force]" not in usage])
        if given < least or (most is not None and given > most):
            print("usage: %s" % usage, file=sys.stderr)
            return 2
        main(arguments)
    except ScriptError as e:
        print("error: %s" % e, file=sys.stderr)
        return 1
    return 0
