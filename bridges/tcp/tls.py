"""TLS for the port: the same streams over a socket that encrypts.

    accept --> handshake, at most HANDSHAKE_S --> Stream, as without TLS

``TlsSocket`` speaks like a plain non-blocking socket, so that ``Stream`` and what is above it know nothing of this. One thing
differs: a client's clean end is TLS's own close_notify. A bare end of the connection could be anybody's on the way, and would
acknowledge mail; it counts as a reset.
"""

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bridges.tcp.stream import Listener, Stream, StreamOwner
from broker.home.settings import Settings

HANDSHAKE_S = 10.0
HANDSHAKES_AT_ONCE = 1000
"""Clients whose handshake is under way; for one more the oldest is dropped, so that silent strangers can't take all places."""


class TlsSocket(ssl.SSLSocket):
    """A server's end whose ``recv`` and ``send`` raise BlockingIOError where a plain socket would."""

    untold = False
    """The end, or an error, came with the last data: the next ``recv`` tells, and nothing will wake its reader for it."""

    def recv(self, buflen: int = 1024, flags: int = 0) -> bytes:
        """All that can be decrypted now, up to ``buflen`` and the rest of a record: what stayed inside would wake nobody."""
        found = bytearray()
        self.untold = False
        with _as_plain():
            while len(found) < buflen or self.pending():
                try:
                    data = super().recv(max(buflen - len(found), self.pending()))
                except ssl.SSLWantReadError:
                    if not found:
                        raise
                    break
                except OSError:
                    if not found:
                        raise
                    self.untold = True
                    break
                if not data:
                    self.untold = bool(found)
                    break
                found += data
        return bytes(found)

    def send(self, data: Any, flags: int = 0) -> int:
        with _as_plain():
            return super().send(data, flags)

    def shutdown(self, how: int) -> None:
        """End our side: close_notify, then the connection's. Reading goes on."""
        with contextlib.suppress(OSError):
            self._sslobj.shutdown()  # type: ignore[attr-defined]  # SSLSocket.shutdown would drop TLS and read on in clear
        socket.socket.shutdown(self, how)

    def close(self) -> None:
        """Say goodbye before the end, if there is room for it."""
        if self.fileno() >= 0 and self._sslobj is not None:  # type: ignore[attr-defined]
            with contextlib.suppress(OSError):
                self._sslobj.shutdown()  # type: ignore[attr-defined]
        super().close()


class TlsStream(Stream):
    """A stream that asks for what its socket has not told."""

    __slots__ = ()

    def resume_reading(self) -> None:
        super().resume_reading()
        if self.socket.untold:  # type: ignore[attr-defined]  # a TlsSocket
            self._loop.call_soon(self._readable)

    def _readable(self) -> None:
        if self._reading:
            super()._readable()
        if self._reading and self.socket.untold:  # type: ignore[attr-defined]
            super()._readable()


@contextlib.contextmanager
def _as_plain() -> Any:
    try:
        yield
    except (ssl.SSLWantReadError, ssl.SSLWantWriteError) as e:
        raise BlockingIOError(str(e)) from None
    except ssl.SSLError as e:
        raise ConnectionResetError(str(e)) from None


def context_of(settings: Settings) -> ssl.SSLContext | None:
    """TLS 1.2 or later with the certificate of the settings; None without one. Raises OSError that says what is wrong."""
    if not settings.tls_cert and not settings.tls_key:
        return None
    if not settings.tls_cert or not settings.tls_key:
        raise OSError("TLS needs both tls_cert and tls_key (IPC_TLS_CERT, IPC_TLS_KEY)")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.sslsocket_class = TlsSocket
    cert, key = (settings.home / Path(name).expanduser() for name in (settings.tls_cert, settings.tls_key))
    try:
        context.load_cert_chain(cert, key, password=_no_password)
    except OSError as e:
        what = e.reason if isinstance(e, ssl.SSLError) else e.strerror
        raise OSError(f"TLS: {cert} and {key} can't be used: {what or e}") from None
    return context


def _no_password() -> str:
    """Where openssl would ask on a terminal that is not there."""
    return ""


class TlsListener(Listener):
    """Connections become streams once they have shaken hands."""

    def __init__(self, sockets: list[socket.socket], make_owner: Callable[[], StreamOwner], context: ssl.SSLContext) -> None:
        self._context = context
        self._handshakes: dict[Handshake, None] = {}
        super().__init__(sockets, make_owner)

    def close(self) -> None:
        super().close()
        for one in list(self._handshakes):
            one.drop()

    def begin(self, connected: socket.socket) -> None:
        if len(self._handshakes) >= HANDSHAKES_AT_ONCE:
            next(iter(self._handshakes)).drop()
        try:
            wrapped = self._context.wrap_socket(
                connected, server_side=True, do_handshake_on_connect=False, suppress_ragged_eofs=False
            )
        except OSError:  # gone already
            connected.close()
            return
        assert isinstance(wrapped, TlsSocket)
        self._handshakes[Handshake(wrapped, self._finish)] = None

    def _finish(self, handshake: "Handshake", done: bool) -> None:
        self._handshakes.pop(handshake, None)
        if done:
            TlsStream(self._loop, handshake.socket, self._make_owner()).start()
        else:
            handshake.socket.close()


class Handshake:
    """One connection until it is encrypted. ``finish`` is called once, with whether it is."""

    def __init__(self, wrapped: TlsSocket, finish: Callable[["Handshake", bool], None]) -> None:
        self.socket = wrapped
        self._finish = finish
        self._loop = asyncio.get_running_loop()
        self._timer = self._loop.call_later(HANDSHAKE_S, self.drop)
        self._loop.add_reader(wrapped.fileno(), self._go_on)

    def drop(self) -> None:
        self._end(done=False)

    def _go_on(self) -> None:
        try:
            self.socket.do_handshake()
        except ssl.SSLWantReadError:
            self._loop.remove_writer(self.socket.fileno())
        except ssl.SSLWantWriteError:
            self._loop.add_writer(self.socket.fileno(), self._go_on)
        except OSError:  # no TLS, or none that we speak
            self._end(done=False)
        else:
            self._end(done=True)

    def _end(self, *, done: bool) -> None:
        self._timer.cancel()
        self._loop.remove_reader(self.socket.fileno())
        self._loop.remove_writer(self.socket.fileno())
        self._finish(self, done)
