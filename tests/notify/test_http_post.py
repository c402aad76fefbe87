"""One POST to a server that is slow on purpose."""

import socket
import threading
from collections.abc import Iterator

import pytest

from bridges.notify import http_post
from bridges.notify.http_post import ChannelError, post


@pytest.fixture
def dripping() -> Iterator[int]:
    """The port of a server that answers one byte each 50 ms, and never comes to an end."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        over = threading.Event()

        def serve() -> None:
            one, _address = listening.accept()
            with one:
                try:
                    while not over.wait(0.05):
                        one.sendall(b"x")
                except OSError:
                    return

        thread = threading.Thread(target=serve)
        thread.start()
        yield listening.getsockname()[1]
        over.set()
        thread.join(10)


def test_a_server_that_drips_is_given_up(dripping: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_post, "WHOLE_S", 0.5)
    with pytest.raises(ChannelError, match="longer than"):
        post(f"http://127.0.0.1:{dripping}/x", b"{}", {"Content-Type": "application/json"})
