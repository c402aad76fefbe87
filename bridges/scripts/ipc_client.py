"""What the ipc_*.py scripts share: the session file and one request over TCP.

Standard library only, Python 3.8 or later, any platform; copy the folder anywhere. The port is $IPC_PORT or 9876, the host
$IPC_HOST or 127.0.0.1; the session is kept in ~/.ipc-session, readable by its owner only. Where $IPC_TLS_CA names a file with
the server's certificate, or that of its issuer, the connection is encrypted.
"""

import contextlib
import hashlib
import json
import os
import re
import socket
import subprocess
import sys
import time

SESSION_FILE = os.path.join(os.path.expanduser("~"), ".ipc-session")
TIMEOUT_S = 10.0
START_DEADLINE_S = 10.0
_HIDDEN = re.compile(  # controls but tab and newline, all that Unicode calls default ignorable, and what looks like nothing
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\u00ad\u034f\u061c\u115f-\u1160\u17b4-\u17b5\u180b-\u180f\u200b-\u200f\u2028-\u202e"
    "\u2060-\u206f\u2800\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufffb\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff]"
)


class ScriptError(Exception):
    """A sentence for the person who ran the script."""


def address():
    port = os.environ.get("IPC_PORT") or "9876"
    if not port.isdigit():
        raise ScriptError("IPC_PORT must be a number, not %r" % port)
    return os.environ.get("IPC_HOST") or "127.0.0.1", int(port)


def request(body, timeout_s=TIMEOUT_S):
    """Send one request and return its reply; start the service if nothing listens and it is installed here."""
    try:
        return _exchange(body, timeout_s)
    except ConnectionRefusedError:
        if _certificate():
            raise ScriptError("nothing listens at %s:%d" % address()) from None
        _start_service()
        return _exchange(body, timeout_s)


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


def _exchange(body, timeout_s):
    try:
        with _connect(timeout_s) as s:
            s.sendall(json.dumps(body).encode("utf-8"))
            chunks = []
            while True:  # to the server's end of the connection: our close then acknowledges what was read
                chunk = s.recv(65536)
                if not chunk:
                    break
                chunks.append(chunk)
                try:
                    reply = json.loads(b"".join(chunks).decode("utf-8"))
                except ValueError:
                    continue
                _say_goodbye(s)
                return reply
    except ConnectionRefusedError:
        raise
    except (OSError, ValueError) as e:
        hint = _hint() if isinstance(e, ConnectionError) else "ipc doctor"
        raise ScriptError("no answer at %s:%d (%s). Next: %s" % (*address(), e, hint)) from None
    raise ScriptError("the service at %s:%d closed the connection without an answer. Next: %s" % (*address(), _hint()))


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


def call(action, **fields):
    """A request of the present session; the reply if it is ok, else ScriptError with the broker's sentence and hint."""
    name, token = load_session()
    own = {"send": "from_id", "broadcast": "from_id", "check": "instance_id", "rename": "old_id"}.get(action)
    body = dict(fields, action=action, session_token=token)
    if own:
        body[own] = name
    return _checked(request(body))


def register(name):
    secret = os.environ.get("IPC_SHARED_SECRET", "")
    proof = hashlib.sha256(("%s:%s" % (name, secret)).encode("utf-8")).hexdigest() if secret else ""
    reply = _checked(request({"action": "register", "instance_id": name, "auth_token": proof}))
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
    """Print, whatever the terminal's encoding."""
    encoding = sys.stdout.encoding or "utf-8"
    print(text.encode(encoding, "replace").decode(encoding))


def run(main, usage, least, most=None):
    """Call ``main`` with the arguments; print errors as one line and exit with 1, wrong usage with 2."""
    arguments = sys.argv[1:]
    if arguments in (["-h"], ["--help"]):
        print("usage: %s" % usage)
        return 0
    if len(arguments) < least or (most is not None and len(arguments) > most):
        print("usage: %s" % usage, file=sys.stderr)
        return 2
    try:
        main(arguments)
    except ScriptError as e:
        print("error: %s" % e, file=sys.stderr)
        return 1
    return 0
