"""One POST to another server: no redirect is followed, since it could carry a token or a link elsewhere.

A server that answers by a byte now and then would hold the other channels up, so the whole exchange has a time, too: the socket
is shut down then. A handshake of TLS has the time of one read as a whole.
"""

import contextlib
import http.client
import socket
import threading
import urllib.error
import urllib.request
from email.message import Message
from typing import IO, Any

from bridges.fence import one_line

_TIMEOUT_S = 10.0
WHOLE_S = 30.0
"""Seconds for all of it; ``_TIMEOUT_S`` is for each read and write."""
_READ_BYTES = 2000
_LONGEST_WAIT_S = 86_400
GONE = 410


class ChannelError(Exception):
    """A notice that did not go out. The text says why."""

    def __init__(self, text: str, *, retry_after_s: float = 0.0, final: bool = False) -> None:
        super().__init__(text)
        self.retry_after_s = retry_after_s
        self.final = final
        """The receiver wants none ever again."""


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    def redirect_request(
        self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str, headers: Message, newurl: str
    ) -> None:
        return None


class _Cut:
    """Shuts the sockets of one exchange down when its time is over."""

    def __init__(self) -> None:
        self._sockets: list[socket.socket] = []
        self.is_over = False

    def note(self, one: socket.socket) -> None:
        self._sockets.append(one)

    def __call__(self) -> None:
        self.is_over = True
        for one in self._sockets:
            with contextlib.suppress(OSError):  # it has been closed
                one.shutdown(socket.SHUT_RDWR)


class _Plain(http.client.HTTPConnection):
    cut: _Cut

    def connect(self) -> None:
        super().connect()
        self.cut.note(self.sock)


class _Tls(http.client.HTTPSConnection):
    cut: _Cut

    def connect(self) -> None:
        super().connect()
        self.cut.note(self.sock)


def _handlers(cut: _Cut) -> tuple[urllib.request.BaseHandler, ...]:
    def plain(host: str, /, **more: Any) -> http.client.HTTPConnection:
        made = _Plain(host, **more)
        made.cut = cut
        return made

    def tls(host: str, /, **more: Any) -> http.client.HTTPConnection:
        made = _Tls(host, **more)
        made.cut = cut
        return made

    class Http(urllib.request.HTTPHandler):
        def http_open(self, req: urllib.request.Request) -> http.client.HTTPResponse:
            return self.do_open(plain, req)

    class Https(urllib.request.HTTPSHandler):
        def https_open(self, req: urllib.request.Request) -> http.client.HTTPResponse:
            return self.do_open(tls, req)

    return Http(), Https()


def post(url: str, body: bytes, headers: dict[str, str]) -> None:
    """Block until the server took it. Raises ChannelError for anything but a status of 200 to 299."""
    cut = _Cut()
    timer = threading.Timer(WHOLE_S, cut)
    timer.daemon = True
    timer.start()
    try:
        _post(urllib.request.build_opener(_NoRedirects, *_handlers(cut)), url, body, headers)
    except ChannelError:
        if cut.is_over:
            raise ChannelError(f"it took longer than {WHOLE_S:.0f} s") from None
        raise
    finally:
        timer.cancel()


def _post(opener: urllib.request.OpenerDirector, url: str, body: bytes, headers: dict[str, str]) -> None:
    request = urllib.request.Request(url, data=body, headers=headers, method="POST")  # noqa: S310 (http and https alone)
    try:
        with opener.open(request, timeout=_TIMEOUT_S) as reply:
            reply.read(_READ_BYTES)
    except urllib.error.HTTPError as e:
        said = e.read(_READ_BYTES).decode("utf-8", "replace") if e.fp is not None else ""
        detail = f"{e.code} {one_line(said)[:120]}".strip()
        raise ChannelError(detail, retry_after_s=_seconds(e.headers.get("Retry-After", "")), final=e.code == GONE) from None
    except urllib.error.URLError as e:
        raise ChannelError(one_line(str(e.reason))) from None
    except (OSError, http.client.HTTPException) as e:
        raise ChannelError(one_line(str(e)) or type(e).__name__) from None


def _seconds(text: str) -> float:
    return float(min(int(text), _LONGEST_WAIT_S)) if text.isascii() and text.isdigit() and len(text) < 9 else 0.0
