"""Who gets anything of the page: this OS user, by its right name, from its own pages, signed in."""

import contextlib
import socket
from collections.abc import Iterator
from typing import Any

import pytest

from bridges.web.guard import CONTENT_POLICY
from bridges.web.http_server import STRANGERS
from bridges.web.links import new_link, take_link
from tests.other_user import as_nobody, forked, needs_root
from tests.web.live_page import Answer, LivePage

JSON = "application/json"
HOME = ("/", "/events", "/act/send", "/no-such-page")
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
)


@pytest.fixture
def live(worker_page: LivePage) -> Iterator[LivePage]:
    yield worker_page
    worker_page.close_clients()


def sign_in(live: LivePage, link: str, **headers: str) -> Answer:
    return live.post("/sign-in", {"token": link.partition("#")[2]}, **{"Cookie": "", **headers})


# links


def test_a_link_opens_once(live: LivePage) -> None:
    link = live.link()
    first, second = sign_in(live, link), sign_in(live, link)
    assert (first.status, second.status) == (200, 400)
    assert "used already" in second.json()["message"]
    assert "set-cookie" not in second.headers


@pytest.mark.parametrize(
    ("made", "taken", "works"),
    [
        ((1000.0, 500.0), (1059.0, 559.0), True),
        ((1000.0, 500.0), (1061.0, 561.0), False),
        ((1000.0, 500.0), (1061.0, 501.0), False),  # one clock stood still
        ((1000.0, 500.0), (1001.0, 561.0), False),
        ((1000.0, 500.0), (999.0, 501.0), False),  # one went back
        ((1000.0, 500.0), (1001.0, 3.0), False),  # the machine was started anew
    ],
)
def test_a_link_is_late_by_either_clock(
    live: LivePage, made: tuple[float, float], taken: tuple[float, float], works: bool
) -> None:
    token = new_link(str(live.home), 1, made).partition("#")[2]
    assert take_link(str(live.home), token, taken) is works
    assert take_link(str(live.home), token, made) is False  # gone, whatever came of it


def test_a_late_link_is_refused_by_the_page(live: LivePage) -> None:
    assert sign_in(live, new_link(str(live.home), live.page_port(), (1000.0, 500.0))).status == 400


@pytest.mark.parametrize("token", ["", "x", "../supervisor", "\ud800", "é" * 4000, 7, None, ["x"]], ids=str)
def test_what_is_no_token_opens_nothing(live: LivePage, token: Any) -> None:
    assert live.post("/sign-in", {"token": token}, Cookie="").status == 400


def test_the_data_folder_holds_no_secret_that_signs_in(live: LivePage) -> None:
    link, cookie = live.link(), live.cookie()
    secrets = (link.partition("#")[2], cookie.partition("=")[2])
    for file in (live.home / "run").iterdir():
        assert not any(secret in file.name for secret in secrets)
        if file.is_file():
            assert not any(secret.encode() in file.read_bytes() for secret in secrets)
            assert file.stat().st_mode & 0o077 == 0


# cookies


def test_nothing_is_shown_without_a_cookie(live: LivePage) -> None:
    for path in HOME:
        assert live.request("GET", path).status == 401, path
    assert live.post("/act/send", {"to": "fred", "content": "x"}, Cookie="").status == 401


@pytest.mark.parametrize("value", ["", "x", "a" * 43, '"', "=;=", "é"], ids=str)
def test_a_forged_cookie_opens_nothing(live: LivePage, value: str) -> None:
    name = live.cookie().partition("=")[0]
    for cookie in (f"{name}={value}", value, f"other={live.cookie().partition('=')[2]}"):
        assert live.request("GET", "/", Cookie=cookie.encode().decode("latin-1")).status == 401


def test_the_cookie_is_for_this_port_and_for_no_script(live: LivePage) -> None:
    given = sign_in(live, live.link()).headers["set-cookie"]
    name, *attributes = given.split("; ")
    assert name.startswith(f"ipc-page-{live.page_port()}=")
    assert {a.lower() for a in attributes} == {"httponly", "samesite=strict", "path=/", "max-age=604800"}


def test_whoever_signs_out_is_out(live: LivePage) -> None:
    cookie = sign_in(live, live.link()).headers["set-cookie"].partition(";")[0]
    assert live.get("/", Cookie=cookie).status == 200
    assert live.post_form("/sign-out", {}, Cookie=cookie).status == 303
    assert live.get("/", Cookie=cookie).status == 401


# other users


@needs_root
def test_another_user_gets_nothing_even_with_a_right_cookie_and_a_right_link(live: LivePage) -> None:
    cookie, link = live.cookie(), live.link()

    def ask() -> list[tuple[int, str]]:
        as_nobody()
        paths = ("/", "/events", "/static/x/sign_in.js", "/sign-in", "/healthz", "/readyz", "/metrics", "/no-such-page")
        answers = [live.request("GET", path, Cookie=cookie) for path in paths]
        answers.append(sign_in(live, link))
        answers.append(live.post("/act/send", {"to": "fred", "content": "x"}, Cookie=cookie))
        return [(answer.status, answer.text) for answer in answers]

    port = live.page_port()
    live.page_port = lambda: port  # type: ignore[method-assign]  # nobody may read the data folder
    try:
        assert set(forked(ask)) == {(403, "This page belongs to another user of this machine.\n")}
    finally:
        del live.page_port
    assert sign_in(live, link).status == 200  # the stranger did not use it up


# names, origins, methods


@pytest.mark.parametrize("name", ["localhost", "[::1]"])
def test_it_answers_by_each_name_of_loopback(live: LivePage, name: str) -> None:
    host = f"{name}:{live.page_port()}"
    assert live.request("GET", "/healthz", Host=host).status == 200
    assert live.post("/sign-in", {"token": "x"}, Host=host, Origin=f"http://{host}").status == 400
    assert live.post("/sign-in", {"token": "x"}, Host=host).status == 403  # the origin of another name


@pytest.mark.parametrize("host", ["evil.example", "evil.example:{port}", "127.0.0.1", "127.0.0.1:1", "127.0.0.1.nip.io:{port}"])
def test_a_rebound_host_gets_nothing(live: LivePage, host: str) -> None:
    for path in ("/", "/healthz", "/sign-in"):
        assert live.get(path, Host=host.format(port=live.page_port())).status == 403


def test_a_request_without_one_host_gets_nothing(live: LivePage) -> None:
    for head in (b"GET /healthz HTTP/1.0\r\n", b"GET /healthz HTTP/1.1\r\nHost: a\r\nHost: b\r\n"):
        status = live.raw(head + b"Connection: close\r\n\r\n").split(b" ", 2)[1]
        assert status in (b"403", b"400")


@pytest.mark.parametrize(
    "origin", ["", "null", "http://evil.example", "http://127.0.0.1:1", "https://{host}", "http://{host}/"]
)
def test_another_origin_changes_nothing(live: LivePage, origin: str) -> None:
    given = {"Origin": origin.format(host=live.host)} if origin else {}
    link = live.link()
    body = b'{"token": "%s"}' % link.partition("#")[2].encode()
    for path in ("/sign-in", "/act/send", "/sign-out"):
        assert live.request("POST", path, body, Content_Type=JSON, Cookie=live.cookie(), **given).status == 403
    assert sign_in(live, link).status == 200


def test_only_get_head_and_post_are_taken_and_each_where_it_belongs(live: LivePage) -> None:
    for method in ("PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "BREW"):
        assert live.request(method, "/", Cookie=live.cookie(), Origin=live.origin).status == 405
    assert live.get("/act/send").status == 405
    assert live.post("/", {}).status == 405
    for path in ("/", "/events", "/metrics"):
        head = live.request("HEAD", path, Cookie=live.cookie())
        assert (head.status, head.text) == (200, "")


# what every answer says


def test_every_answer_has_the_policy(live: LivePage) -> None:
    assert CONTENT_POLICY == POLICY
    answers = [
        live.get("/"),
        live.request("GET", "/"),
        live.get("/no-such-page"),
        live.get("/", Host="evil.example"),
        live.request("GET", "/healthz"),
        live.post("/act/send", {}),
        live.request("PUT", "/"),
    ]
    for answer in answers:
        told = {name: answer.headers[name] for name in ("content-security-policy", "x-content-type-options")}
        assert told == {"content-security-policy": POLICY, "x-content-type-options": "nosniff"}
        assert answer.headers["referrer-policy"] == "same-origin"
        assert answer.headers["cross-origin-opener-policy"] == answer.headers["cross-origin-resource-policy"] == "same-origin"
        assert answer.headers["cache-control"] == "no-store"
        assert "access-control-allow-origin" not in answer.headers


def test_static_files_are_kept_for_good_under_their_hash(live: LivePage) -> None:
    page = live.request("GET", "/sign-in").text
    path = page.partition('src="')[2].partition('"')[0]
    file = live.request("GET", path)
    assert (file.status, file.headers["cache-control"]) == (200, "public, max-age=31536000, immutable")
    assert file.headers["content-type"].startswith("text/javascript")
    for other in (path.replace("/static/", "/static/0"), "/static/x/../../app.py", "/static/x/%2e%2e%2fapp.py"):
        assert live.request("GET", other).status in (401, 404)


# strangers' weight


@needs_root
def test_another_user_has_few_connections(live: LivePage) -> None:
    port = live.page_port()

    def ask() -> list[bool]:
        as_nobody()
        with contextlib.ExitStack() as stack:
            held = [stack.enter_context(socket.create_connection(("127.0.0.1", port))) for _ in range(STRANGERS + 3)]
            for one in held:
                one.sendall(f"GET / HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n".encode())
            answers = []
            for one in held:
                with contextlib.suppress(ConnectionError):
                    answers.append(one.recv(100).startswith(b"HTTP/1.1 403"))
            return answers

    assert forked(ask).count(True) == STRANGERS
    assert live.get("/healthz").status == 200


def test_a_head_without_end_is_cut_off(live: LivePage) -> None:
    answer = live.raw(b"GET / HTTP/1.1\r\nX: " + b"x" * 200_000)
    assert answer == b"" or answer.startswith(b"HTTP/1.1 400")


@pytest.mark.parametrize(
    ("body", "kind", "status"),
    [
        (b"{", JSON, 400),
        (b"[1]", JSON, 400),
        (b"\xff", JSON, 400),
        (b"[" * 100_000, JSON, 400),
        (b"{}", "text/plain", 400),
        (b"{}", "", 400),
        (b"a=1&" * 200, "application/x-www-form-urlencoded", 400),
        (b"\xff=1", "application/x-www-form-urlencoded", 400),
        (b"x" * (4 * 1024 * 1024 + 1), JSON, 413),
    ],
)
def test_hostile_bodies_are_refused_in_words(live: LivePage, body: bytes, kind: str, status: int) -> None:
    for path in ("/sign-in", "/act/send"):
        given = {"Content_Type": kind} if kind else {}
        answer = live.request("POST", path, body, Origin=live.origin, Cookie=live.cookie(), Accept=JSON, **given)
        assert (answer.status, bool(answer.json()["message"])) == (status, True)


def test_a_body_without_a_length_is_bounded_too(live: LivePage) -> None:
    head = f"POST /act/send HTTP/1.1\r\nHost: {live.host}\r\nOrigin: {live.origin}\r\nCookie: {live.cookie()}\r\n"
    head += f"Content-Type: {JSON}\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
    chunk = b"100000\r\n" + b"x" * 0x100000 + b"\r\n"
    answer = live.raw(head.encode() + chunk * 6)
    assert answer == b"" or answer.startswith(b"HTTP/1.1 413")  # it stops reading; what it said may be lost with that


def test_cookies_of_other_servers_at_this_address_sign_nobody_out(live: LivePage) -> None:
    for other in ('prefs={"a": 1}', "x", "=", 'a="', "a b=c d", "é=ü"):
        assert live.get("/", Cookie=f"{other}; {live.cookie()}").status == 200, other
        assert live.get("/", Cookie=f"{live.cookie()}; {other}").status == 200, other
