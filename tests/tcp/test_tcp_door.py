"""Every row of the TCP door with a raw socket, in both forms."""

import json
import socket
import struct
import threading
from typing import Any

import pytest

from tests.conftest import Service, wait_for
from tests.lasting import Lasting, check, register, send


def queued(service: Service) -> int:
    return int(service.connect("observer").request("status")["queued"])


def lines_unread(s: socket.socket) -> int:
    """Lines that have come and were not read."""
    return s.recv(1_000_000, socket.MSG_PEEK).count(b"\n")


def read_all(s: socket.socket) -> bytes:
    chunks = []
    while chunk := s.recv(65536):
        chunks.append(chunk)
    return b"".join(chunks)


def test_register_send_check_broadcast_list_rename_as_legacy_scripts_know_them(service: Service) -> None:
    fred, claude = register(service, "fred", "claude")
    assert len(fred) >= 43
    assert send(service, fred, "fred", "claude")["message"] == "Message sent"
    assert send(service, fred, "fred", "nova")["message"] == "Message queued for nova (not yet registered)"
    reply = service.ask({"action": "broadcast", "from_id": "fred", "message": {"content": "all"}, "session_token": fred})
    assert (reply["message"], reply["count"]) == ("Broadcast to 1 instances", 1)
    mail = check(service, claude, "claude")
    assert [(m["from"], m["to"], m["message"]) for m in mail["messages"]] == [
        ("fred", "claude", {"content": "hello"}),
        ("fred", "claude", {"content": "all"}),
    ]
    assert list(mail) == ["status", "messages"]
    rows = service.ask({"action": "list", "session_token": fred})["instances"]
    assert [r["id"] for r in rows] == ["claude", "fred"]
    assert all(r["last_seen"].endswith("+00:00") for r in rows)
    request = {"action": "rename", "old_id": "claude", "new_id": "claude2", "session_token": claude}
    assert service.ask(request)["message"] == "Renamed claude to claude2"
    assert send(service, fred, "fred", "claude")["message"] == "Message forwarded from claude to claude2"
    nova = service.ask({"action": "register", "instance_id": "nova", "auth_token": ""})
    assert nova["message"] == "Registered nova with 1 queued messages"


@pytest.mark.parametrize(
    ("request_", "text"),
    [
        ({"action": "list"}, "Invalid or missing session token"),
        (
            {"action": "register", "instance_id": "a b"},
            "Invalid instance ID format. Use 1-32 alphanumeric characters, hyphens, or underscores.",
        ),
        ({"action": "zap"}, "Unknown action: zap"),
        ({"action": "status"}, "Unknown action: status"),
        ({"action": "import"}, "Unknown action: import"),
        ({}, "Unknown action: None"),
        ({"action": ["send"]}, "Unknown action: ['send']"),
    ],
)
def test_errors_have_a_code_and_the_sentence_that_scripts_know(shared: Service, request_: dict[str, Any], text: str) -> None:
    reply = shared.ask(request_)
    assert (reply["status"], reply["message"]) == ("error", text)
    assert reply["code"]


@pytest.mark.parametrize(
    "raw",
    [
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
        b"POST / HTTP/1.1\r\n\r\n{}",
        b"[1]",
        b'"x"',
        b"\x16\x03\x01\x00",
        b"\xff\xfe{\x00}",
        b'{"a":' + b"[" * 65 + b"]" * 65 + b"}",
        b'{"action":18446744073709551616}',
        b'{"action":' + b"9" * 5000 + b"}",
        b'{"action":NaN}',
        b'{"action":"\xff"}',
        b'{"action":"\\ud800"}',
        b"{'action':'list'}",
        b'{"action":"list"}{"action":"list"}',
        b'{"action":"list"}garbage',
    ],
)
def test_what_is_no_request_gets_one_clear_error_and_the_connection_closes(shared: Service, raw: bytes) -> None:
    with shared.tcp() as s:
        s.sendall(raw)
        reply = json.loads(read_all(s))
    assert (reply["status"], reply["code"]) == ("error", "bad_request")


def test_an_incomplete_object_is_an_error_when_the_client_is_done(shared: Service) -> None:
    with shared.tcp() as s:
        s.sendall(b'{"action":"li')
        s.shutdown(socket.SHUT_WR)
        assert json.loads(read_all(s))["code"] == "bad_request"


def test_an_object_that_never_ends_is_timed_out(make_service: Any) -> None:
    service = make_service(IPC_IDLE_TIMEOUT="0.3").start()
    with service.tcp() as s:
        s.sendall(b'{"action":"li')
        assert json.loads(read_all(s))["code"] == "idle_timeout"


def test_a_request_over_the_limit_is_refused(make_service: Any) -> None:
    service = make_service(IPC_MESSAGE_LIMIT="1000").start()
    with service.tcp() as s:
        s.sendall(b'{"a":"' + b"x" * 80_000)
        assert json.loads(s.recv(65536))["code"] == "too_large"


def test_a_request_that_comes_byte_by_byte_is_answered(shared: Service, tag: str) -> None:
    raw = json.dumps({"action": "register", "instance_id": f"fred{tag}", "auth_token": '}"\\{'}).encode()
    with shared.tcp() as s:
        s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for i in range(len(raw)):
            s.sendall(raw[i : i + 1])
        assert json.loads(s.recv(65536))["message"] == f"Registered fred{tag}"


def test_a_pretty_printed_request_and_a_client_that_half_closes_are_served(shared: Service, tag: str) -> None:
    with shared.tcp() as s:
        s.sendall(json.dumps({"action": "register", "instance_id": f"fred{tag}"}, indent=2).encode())
        s.shutdown(socket.SHUT_WR)
        assert json.loads(read_all(s))["message"] == f"Registered fred{tag}"


@pytest.mark.parametrize("end", [b"\n", b""])
@pytest.mark.parametrize("count", [2, 700])
def test_requests_right_before_the_end_are_all_answered(shared: Service, tag: str, count: int, end: bytes) -> None:
    token = shared.register(f"fred{tag}")
    actions = ("whoami", "check", "list", "zap")
    lines = [json.dumps({"action": actions[n % 4], "session_token": token, "id": n}).encode() for n in range(count)]
    with shared.tcp() as s:
        s.sendall(b"\n".join(lines) + end)
        s.shutdown(socket.SHUT_WR)
        replies = [json.loads(line) for line in read_all(s).splitlines()]
    assert [r["id"] for r in replies] == list(range(count))


def test_a_legacy_connection_is_closed_after_its_reply(shared: Service) -> None:
    with shared.tcp() as s:
        s.sendall(b'{"action":"list"}')
        assert json.loads(read_all(s))["code"] == "unauthorized"


def test_mail_is_acknowledged_by_a_clean_close_and_by_a_half_close(service: Service) -> None:
    fred, claude = register(service, "fred", "claude")
    for half in (False, True):
        send(service, fred, "fred", "claude")
        with service.tcp() as s:
            s.sendall(json.dumps({"action": "check", "instance_id": "claude", "session_token": claude}).encode())
            if half:
                s.shutdown(socket.SHUT_WR)
                assert len(json.loads(read_all(s))["messages"]) == 1
            else:
                assert len(json.loads(s.recv(65536))["messages"]) == 1
        wait_for("the acknowledgement", lambda: queued(service) == 0)
        assert check(service, claude, "claude")["messages"] == []


def test_mail_comes_back_after_a_reset(shared: Service, tag: str) -> None:
    fred, claude = register(shared, f"fred{tag}", f"claude{tag}")
    send(shared, fred, f"fred{tag}", f"claude{tag}")
    s = shared.tcp()
    s.sendall(json.dumps({"action": "check", "instance_id": f"claude{tag}", "session_token": claude}).encode())
    assert s.recv(10)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    s.close()  # with linger 0: a reset
    again = wait_for("the mail to come back", lambda: check(shared, claude, f"claude{tag}")["messages"])
    assert again[0]["redelivered"] is True


def test_a_newline_makes_the_connection_lasting_also_in_a_later_segment(shared: Service, tag: str) -> None:
    token = shared.register(f"fred{tag}")
    raw = json.dumps({"action": "whoami", "session_token": token}).encode()
    with shared.tcp() as s:
        s.sendall(raw)
        assert json.loads(s.recv(65536))["instance_id"] == f"fred{tag}"
        s.sendall(b"\n")
        f = s.makefile("rwb")
        for _ in range(2):
            f.write(raw + b"\n")
            f.flush()
            assert json.loads(f.readline())["instance_id"] == f"fred{tag}"


def test_pipelined_requests_are_answered_in_order_with_their_ids(shared: Service, tag: str) -> None:
    token = shared.register(f"fred{tag}")
    door = Lasting(shared)
    door.write(*({"action": ("whoami", "zap", "list")[i % 3], "session_token": token, "id": f"r{i}"} for i in range(300)))
    assert [door.read()["id"] for _ in range(300)] == [f"r{i}" for i in range(300)]
    door.write({"action": "whoami", "session_token": token})
    assert "id" not in door.read()
    door.close()


def test_a_bad_line_is_an_error_and_the_connection_goes_on(shared: Service, tag: str) -> None:
    token = shared.register(f"fred{tag}")
    door = Lasting(shared)
    assert door.ask({"action": "whoami", "session_token": token})["status"] == "ok"
    door.file.write(b"not json\n")
    assert door.ask({"action": "whoami", "session_token": token})["code"] == "bad_request"
    assert door.read()["status"] == "ok"
    door.close()


def test_on_a_lasting_connection_the_next_check_acknowledges(shared: Service, tag: str) -> None:
    fred, claude = register(shared, f"fred{tag}", f"claude{tag}")
    door = Lasting(shared)
    ask = {"action": "check", "instance_id": f"claude{tag}", "session_token": claude}
    for text in ("one", "two"):
        send(shared, fred, f"fred{tag}", f"claude{tag}", text)
        assert [m["message"]["content"] for m in door.ask(ask)["messages"]] == [text]
    door.close()  # "two" was not acknowledged
    again = wait_for("the mail to come back", lambda: check(shared, claude, f"claude{tag}")["messages"])
    assert [(m["message"]["content"], m["redelivered"]) for m in again] == [("two", True)]


def test_on_a_lasting_connection_ack_acknowledges(shared: Service, tag: str) -> None:
    fred, claude = register(shared, f"fred{tag}", f"claude{tag}")
    send(shared, fred, f"fred{tag}", f"claude{tag}")
    door = Lasting(shared)
    ids = [m["id"] for m in door.ask({"action": "check", "session_token": claude})["messages"]]
    assert door.ask({"action": "ack", "instance_id": f"claude{tag}", "ids": ids, "session_token": claude})["acked"] == 1
    door.close()
    assert check(shared, claude, f"claude{tag}")["messages"] == []


def test_a_repeated_message_id_is_stored_once(shared: Service, tag: str) -> None:
    fred, claude = register(shared, f"fred{tag}", f"claude{tag}")
    first = send(shared, fred, f"fred{tag}", f"claude{tag}", message_id="m-1")
    again = send(shared, fred, f"fred{tag}", f"claude{tag}", message_id="m-1")
    assert "nothing wakes it" in first.pop("reach")  # said once, of the moment at which it was stored
    assert again == {**first, "duplicate": True, "note": "It was sent before under this message_id and is stored once"}
    assert len(check(shared, claude, f"claude{tag}")["messages"]) == 1
    assert send(shared, fred, f"fred{tag}", f"claude{tag}", message_id="x" * 65)["code"] == "bad_request"


def test_a_subscriber_gets_pushes_and_a_lost_connection_returns_them(shared: Service, tag: str) -> None:
    fred, claude = register(shared, f"fred{tag}", f"claude{tag}")
    door = Lasting(shared)
    assert door.ask({"action": "subscribe", "session_token": claude, "id": 5})["status"] == "ok"
    send(shared, fred, f"fred{tag}", f"claude{tag}", "pushed")
    push = door.read()
    assert (push["push"], push["id"], push["messages"][0]["message"]["content"]) == ("mail", 5, "pushed")
    door.close()
    again = wait_for("the mail to come back", lambda: check(shared, claude, f"claude{tag}")["messages"])
    assert again[0]["redelivered"] is True


def test_a_long_poll_is_answered_by_mail_and_returns_it_if_nobody_reads(shared: Service, tag: str) -> None:
    fred, claude = register(shared, f"fred{tag}", f"claude{tag}")
    waiting = Lasting(shared)
    waiting.write({"action": "check", "session_token": claude, "wait_s": 30})
    send(shared, fred, f"fred{tag}", f"claude{tag}", "now")
    assert waiting.read()["messages"][0]["message"]["content"] == "now"
    assert waiting.ask({"action": "check", "session_token": claude})["messages"] == []
    waiting.write({"action": "check", "session_token": claude, "wait_s": 30})
    waiting.close()
    send(shared, fred, f"fred{tag}", f"claude{tag}", "later")
    assert wait_for("the mail", lambda: check(shared, claude, f"claude{tag}")["messages"])[0]["message"]["content"] == "later"


def test_a_spoofed_sender_is_refused_and_logged(shared: Service, tag: str) -> None:
    fred, _claude = register(shared, f"fred{tag}", f"claude{tag}")
    assert send(shared, fred, f"claude{tag}", f"fred{tag}")["code"] == "spoofed_sender"

    def refused() -> list[dict[str, Any]]:
        return [e for e in shared.log("broker") if e["event"] == "spoof_refused" and e["who"] == f"fred{tag}"]

    entry = wait_for("the log line", refused)[0]
    assert (entry["claimed"], entry["door"], entry["action"]) == (f"claude{tag}", "tcp", "send")


@pytest.mark.deep
def test_ten_thousand_queued_messages_arrive_once_and_in_order_in_replies_of_32_kib(make_service: Any) -> None:
    service = make_service(IPC_RATE_LIMIT="0").start()
    sender = service.connect("fred")
    token = service.register("claude")
    replies = sender.send_many([("claude", f"{i} " + 'ü"\n' * (i % 60)) for i in range(10_000)])
    assert all(r["status"] == "ok" for r in replies)
    seen: list[int] = []
    more = 1
    while more:
        with service.tcp() as s:
            s.sendall(json.dumps({"action": "check", "instance_id": "claude", "session_token": token}).encode())
            raw = read_all(s)
        assert len(raw) <= 32_767
        reply = json.loads(raw)
        seen += [int(m["message"]["content"].split()[0]) for m in reply["messages"]]
        more = reply.get("more", 0)
        assert more == 10_000 - len(seen)
    assert seen == list(range(10_000))


def test_the_largest_allowed_message_fits_a_legacy_reply(shared: Service, tag: str) -> None:
    fred, claude = register(shared, f"fred{tag}", f"claude{tag}")
    for content in ("\x01" * 10_240, '"' * 10_240, "😀" * 2_560, "x" * 10_240):
        message = {"content": content, "data": "\x01" * 2_700}
        reply = shared.ask({"action": "send", "to_id": f"claude{tag}", "message": message, "session_token": fred})
        assert reply["status"] == "ok"
        assert len(check(shared, claude, f"claude{tag}")["messages"]) == 1


def test_a_large_message_names_its_file_in_data_as_the_seed_did(shared: Service, tag: str) -> None:
    fred, claude = register(shared, f"fred{tag}", f"claude{tag}")
    send(shared, fred, f"fred{tag}", f"claude{tag}", "One. Two. " + "x" * 20_000)
    message = check(shared, claude, f"claude{tag}")["messages"][0]["message"]
    path = message["data"]["large_message_file"]
    assert message["content"] == f"One. Two. Full content saved to: {path}"
    assert message["data"]["original_size_kb"] == 19.5


def test_a_slow_reader_does_not_hold_up_others(service: Service) -> None:
    fred, _ = register(service, "fred", "claude")
    slow = service.tcp()
    line = json.dumps({"action": "list", "session_token": fred}).encode() + b"\n"
    stop = threading.Event()

    def flood() -> None:
        slow.settimeout(0.2)
        while not stop.is_set():
            try:
                slow.sendall(line * 100)
            except TimeoutError:
                continue

    thread = threading.Thread(target=flood)
    thread.start()
    for _ in range(50):
        assert send(service, fred, "fred", "claude")["status"] == "ok"
    stop.set()
    thread.join()
    slow.close()


def test_checks_that_are_pipelined_acknowledge_only_what_was_taken_before_they_came(service: Service) -> None:
    fred, claude = register(service, "fred", "claude")
    for number in range(6):
        send(service, fred, "fred", "claude", str(number))
    door = Lasting(service)
    door.write(*({"action": "check", "session_token": claude, "limit": 2, "id": n} for n in range(4)))
    replies = [door.read() for _ in range(4)]
    assert [r["id"] for r in replies] == [0, 1, 2, 3]
    assert [[m["message"]["content"] for m in r["messages"]] for r in replies] == [["0", "1"], ["2", "3"], ["4", "5"], []]
    assert queued(service) == 6, "all four were sent before the first was answered"
    assert door.ask({"action": "check", "session_token": claude})["messages"] == []
    assert queued(service) == 0


def test_mail_of_pipelined_checks_comes_back_when_their_client_dies_unread(shared: Service, tag: str) -> None:
    fred, claude = register(shared, f"fred{tag}", f"claude{tag}")
    for number in range(3):
        send(shared, fred, f"fred{tag}", f"claude{tag}", str(number))
    door = Lasting(shared)
    door.write(*({"action": "check", "session_token": claude, "limit": 2} for n in range(2)))
    wait_for("both replies", lambda: lines_unread(door.socket) == 2)
    door.close()
    again = wait_for("the mail", lambda: check(shared, claude, f"claude{tag}")["messages"])
    assert [m["message"]["content"] for m in again] == ["0", "1", "2"]


def test_replies_that_come_out_of_order_are_written_in_order(shared: Service, tag: str) -> None:
    fred, claude = register(shared, f"fred{tag}", f"claude{tag}")
    door = Lasting(shared)
    door.write({"action": "check", "session_token": claude, "wait_s": 30, "id": "slow"})
    door.write({"action": "whoami", "session_token": claude, "id": "quick"}, {"action": "zap", "id": "wrong"})
    send(shared, fred, f"fred{tag}", f"claude{tag}", "at last")
    assert [door.read()["id"] for _ in range(3)] == ["slow", "quick", "wrong"]


def test_a_client_that_is_gone_before_its_long_poll_ends_leaves_nothing_on_lease(shared: Service, tag: str) -> None:
    fred, claude = register(shared, f"fred{tag}", f"claude{tag}")
    door = Lasting(shared)
    door.write({"action": "check", "session_token": claude, "wait_s": 30}, {"action": "check", "session_token": claude})
    door.close()
    send(shared, fred, f"fred{tag}", f"claude{tag}", "x")
    assert len(wait_for("the mail", lambda: check(shared, claude, f"claude{tag}")["messages"])) == 1


def test_released_mail_is_not_acknowledged_by_the_next_check(shared: Service, tag: str) -> None:
    fred = shared.register(f"fred{tag}")
    send(shared, fred, f"fred{tag}", f"fred{tag}", "one")
    line = Lasting(shared)
    line.write({"action": "check", "session_token": fred})
    (message,) = line.read()["messages"]
    ids = [message["id"]]
    line.write({"action": "release", "ids": ids, "session_token": fred}, {"action": "check", "session_token": fred})
    assert line.read()["released"] == 1
    assert [m["id"] for m in line.read()["messages"]] == ids
    line.write({"action": "release", "session_token": fred}, {"action": "check", "session_token": fred})
    assert line.read()["released"] == 1
    assert [m["id"] for m in line.read()["messages"]] == ids


@pytest.mark.parametrize("action", ["ack", "release"])
def test_ids_that_are_no_list_are_refused_by_name(shared: Service, tag: str, action: str) -> None:
    fred = shared.register(f"fred{tag}")
    line = Lasting(shared)
    line.write({"action": action, "ids": 5, "session_token": fred})
    reply = line.read()
    assert reply["code"] == "bad_request" and "ids" in reply["message"]
