"""TLS for the port: an encrypting layer between a ``Stream`` and the connection above it, by ``ssl.MemoryBIO``.

    socket <--> Stream <--ciphertext--> TlsStream <--plain bytes--> connection

A client has 10 s for the handshake. A client's clean end is TLS's own close_notify. A bare end of the connection could be
anybody's on the way, and would acknowledge mail: it counts as a reset.

The door with keys (``bridges.remote``) is the preferred way from another machine. This layer will not grow.
"""

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Callable
from pathlib import Path

from bridges.tcp.listener import Listener
from bridges.tcp.stream import ByteStream, Stream, StreamOwner
from broker.home.settings import Settings

HANDSHAKE_S = 10.0
HANDSHAKES_AT_ONCE = 1000
"""Clients whose handshake is under way; for one more the oldest is dropped, so that silent strangers can't take all places."""
_READ_BYTES = 64 * 1024


def context_of(settings: Settings) -> ssl.SSLContext:
    """TLS 1.2 or later with the certificate of the settings. Raises OSError that says what is wrong."""
    if not settings.tls_cert or not settings.tls_key:
        raise OSError("TLS needs both tls_cert and tls_key (IPC_TLS_CERT, IPC_TLS_KEY)")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    cert, key = (settings.home / Path(name).expanduser() for name in (settings.tls_cert, settings.tls_key))
    try:
        context.load_cert_chain(cert, key, password=lambda: "")  # else openssl would ask on a terminal that is not there
    except OSError as e:
        what = e.reason if isinstance(e, ssl.SSLError) else e.strerror
        raise OSError(f"TLS: {cert} and {key} can't be used: {what or e}") from None
    return context


class TlsListener(Listener):
    """Listening sockets whose connections are encrypted."""

    def __init__(self, sockets: list[socket.socket], make_owner: Callable[[], StreamOwner], context: ssl.SSLContext) -> None:
        self._context = context
        self._handshakes: dict[TlsStream, None] = {}
        """Under way, the oldest first."""
        super().__init__(sockets, make_owner)

    def close(self) -> None:
        super().close()
        for one in list(self._handshakes):
            one.abort()

    def begin(self, connected: socket.socket) -> None:
        if len(self._handshakes) >= HANDSHAKES_AT_ONCE:
            next(iter(self._handshakes)).abort()
        layer = TlsStream(self._context, self._make_owner, lambda done: self._handshakes.pop(done, None))
        self._handshakes[layer] = None
        Stream(self._loop, connected, layer).start()


class TlsStream:
    """The owner of an encrypted stream, and a stream to the connection above, which it makes after the handshake."""

    def __init__(
        self,
        context: ssl.SSLContext,
        make_owner: Callable[[], StreamOwner],
        finished: Callable[["TlsStream"], object],
    ) -> None:
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_side=True)
        self._make_owner = make_owner
        self._finished = finished
        self._owner: StreamOwner | None = None
        self._reads = True

    # below: the stream of ciphertext

    def connection_made(self, stream: ByteStream) -> None:
        self._stream = stream
        self.socket = stream.socket
        self._timer = asyncio.get_running_loop().call_later(HANDSHAKE_S, self.abort)

    def begun(self) -> None:
        """Nothing: the time for the handshake runs already."""

    def data_received(self, data: bytes) -> None:
        self._incoming.write(data)
        if self._owner is None:
            self._shake_hands()
        else:
            self._decrypt()

    def eof_received(self) -> None:
        self.abort(ConnectionResetError("the connection ended without TLS's goodbye"))

    def connection_lost(self, error: OSError | None) -> None:
        self._end_handshake()
        if self._owner is not None:
            self._owner.connection_lost(error)
            self._owner = None

    def pause_writing(self) -> None:
        if self._owner is not None:
            self._owner.pause_writing()

    def resume_writing(self) -> None:
        if self._owner is not None:
            self._owner.resume_writing()

    # above: plain bytes, as Stream's

    @property
    def is_closing(self) -> bool:
        return self._stream.is_closing

    @property
    def unsent_bytes(self) -> int:
        return self._stream.unsent_bytes

    def pause_reading(self) -> None:
        self._reads = False
        self._stream.pause_reading()

    def resume_reading(self) -> None:
        if not self._reads:
            self._reads = True
            asyncio.get_running_loop().call_soon(self._decrypt)  # what has come whole wakes nobody
        self._stream.resume_reading()

    def write(self, data: bytes) -> None:
        if not self._stream.is_closing:
            self._tls.write(data)
            self._pass_on()

    def close_sending(self) -> None:
        self._say_goodbye()
        self._stream.close_sending()

    def close(self) -> None:
        if not self._stream.is_closing:
            self._say_goodbye()
            self._stream.close()

    def abort(self, error: OSError | None = None) -> None:
        self._stream.abort(error)

    # between

    def _shake_hands(self) -> None:
        try:
            self._tls.do_handshake()
        except ssl.SSLWantReadError:
            self._pass_on()
        except ssl.SSLError:  # no TLS, or none that we speak; what is wrong is told by an alert
            self._pass_on()
            self._stream.abort()
        else:
            self._pass_on()
            self._end_handshake()
            owner = self._owner = self._make_owner()
            owner.connection_made(self)
            self._decrypt()
            if not self._stream.is_closing:
                owner.begun()

    def _end_handshake(self) -> None:
        self._timer.cancel()
        self._finished(self)

    def _decrypt(self) -> None:
        """Hand on what can be decrypted, as long as the connection above reads."""
        owner = self._owner
        while owner is not None and self._reads and not self._stream.is_closing:
            try:
                data = self._tls.read(_READ_BYTES)
            except ssl.SSLWantReadError:
                self._pass_on()  # TLS may have an answer of its own, such as a new key
                return
            except ssl.SSLZeroReturnError:
                data = b""
            except ssl.SSLError as e:
                self.abort(ConnectionResetError(str(e)))
                return
            if not data:
                self._reads = False
                self._stream.pause_reading()
                owner.eof_received()
                return
            owner.data_received(data)

    def _say_goodbye(self) -> None:
        with contextlib.suppress(ssl.SSLError):  # which says that the client has not said its own yet
            self._tls.unwrap()
        self._pass_on()

    def _pass_on(self) -> None:
        if self._outgoing.pending:
            self._stream.write(self._outgoing.read())
