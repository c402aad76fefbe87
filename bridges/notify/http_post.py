"""One POST to another server: no redirect is followed, since it could carry a token or a link elsewhere."""

import http.client
import urllib.error
import urllib.request
from email.message import Message
from typing import IO

from bridges.fence import one_line

_TIMEOUT_S = 10.0
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


def post(url: str, body: bytes, headers: dict[str, str]) -> None:
    """Block until the server took it. Raises ChannelError for anything but a status of 200 to 299."""
    opener = urllib.request.build_opener(_NoRedirects)
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
