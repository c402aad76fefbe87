"""What a site can do at real servers that it should not: nothing.

A server's answer goes to whatever subject the request names as its ``reply``, with the rights of the account. So each attack is
tried directly, and as the answer to each kind of request that a site may make.
"""

import asyncio
import contextlib
import json
import os
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import nats
import nats.errors
import pytest

from bridges.nats import layout
from bridges.nats.carrier import NatsCarrier
from bridges.nats.envelope import KEY, Identity
from bridges.nats.permissions import accounts, site_block, streams_block
from broker.home.logs import Log
from tests.nats.deployed import is_valid
from tests.nats.servers import NatsServers
from tests.nats.sites import NatsUser, SitesWorld

OWN_ENTRY = "$KV.ipc_sites.paris"
DIGEST = 64 * "0"
TARGETS = {
    "mail as another": "ipc.in.0.rome.berlin",
    "mail to itself as another": "ipc.in.0.paris.berlin",
    "a mark that empties another's outbox": "ipc.at.berlin.rome",
    "another's lease": "$KV.ipc_sites.rome",
    "another's name": "$KV.ipc_names.rome.bob",
    "another's key": "$KV.ipc_keys.rome",
    "its own key": "$KV.ipc_keys.paris",
    "another's large body": f"$O.ipc_bodies.C.rome.berlin.{DIGEST}",
    "the end of all mail": "$JS.API.STREAM.PURGE.IPC_IN_0",
    "the end of the marks": "$JS.API.STREAM.PURGE.IPC_AT",
    "the end of the keys": "$JS.API.STREAM.DELETE.KV_ipc_keys",
    "other limits": "$JS.API.STREAM.UPDATE.IPC_IN_0",
    "the end of another's reading": "$JS.API.CONSUMER.DELETE.IPC_IN_0.rome",
    "one message less": "$JS.API.STREAM.MSG.DELETE.IPC_IN_0",
    "a leader less": "$JS.API.STREAM.LEADER.STEPDOWN.IPC_IN_0",
}
"""What it is, and the subject that does it."""
PAYLOADS = (b"", b"{}", b'{"filter":"ipc.in.0.rome.>"}', b'{"seq":1}', b"forged")
"""The answer to a DIRECT.GET is what the site itself wrote: requests to JetStream among it."""


@pytest.fixture(scope="module", params=[1, pytest.param(3, marks=pytest.mark.deep)], ids=["one-node", "three-nodes"])
def world(request: pytest.FixtureRequest) -> Iterator[SitesWorld]:
    with SitesWorld("paris", "rome", "berlin", nodes=request.param) as world:
        world.as_admin(_fill)
        yield world


async def _fill(client: Any) -> None:
    """Something everywhere that could be taken, and a reader of rome's."""
    js = client.jetstream(timeout=10)
    for subject in TARGETS.values():
        if not subject.startswith("$JS.") and not subject.startswith("$KV.ipc_keys"):
            await js.publish(subject, b"the owner's")
    await js.add_consumer("IPC_IN_0", name="rome", filter_subject="ipc.in.0.rome.*", ack_policy="none", inactive_threshold=3600)


async def _state(client: Any) -> dict[str, Any]:
    """All that is at the servers, but what is paris's to write."""
    js = client.jetstream(timeout=10)
    found: dict[str, Any] = {}
    for stream in layout.all_streams(1):
        info = await js.stream_info(stream, subjects_filter=">")
        subjects = info.state.subjects or {}
        for subject, count in subjects.items():
            if subject != OWN_ENTRY and not subject.endswith(".paris"):
                last = await js.get_last_msg(stream, subject)
                found[subject] = (count, last.data)
        found[stream] = (info.config.max_msgs_per_subject, info.created)
    found["readers"] = [one.name for one in await js.consumers_info("IPC_IN_0") if one.name != "paris"]
    return found


def as_paris(world: SitesWorld, use: Callable[[Any], Awaitable[Any]]) -> Any:
    """What ``use(client)`` returns; the client is paris's, in a loop of its own."""

    async def run() -> Any:
        async with connected(world.servers, world.users["paris"]) as client:
            return await use(client)

    return asyncio.run(run())


@contextlib.asynccontextmanager
async def connected(servers: NatsServers, user: NatsUser) -> Any:
    async def quiet(_error: Exception) -> None:
        """What is not answered is looked for in the state."""

    client = await nats.connect(servers.urls, nkeys_seed_str=user.seed, error_cb=quiet)
    try:
        yield client
    finally:
        await client.close()


async def ask(client: Any, subject: str, payload: bytes = b"", headers: dict[str, str] | None = None) -> bytes | None:
    """The answer; None where nobody gives one."""
    try:
        return bytes((await client.request(subject, payload, 1.0, headers=headers)).data)
    except (nats.errors.NoRespondersError, nats.errors.TimeoutError):
        return None


async def by_answers(client: Any, target: str) -> None:
    """Have the servers answer to ``target``, to each request that paris may make, with each text that it can have there."""
    for payload in PAYLOADS:
        await ask(client, OWN_ENTRY, payload)
        await client.publish(f"$JS.API.DIRECT.GET.KV_ipc_sites.{OWN_ENTRY}", b"", reply=target)
        await client.publish("$JS.API.DIRECT.GET.KV_ipc_sites", json.dumps({"last_by_subj": OWN_ENTRY}).encode(), reply=target)
        await client.publish("ipc.in.0.rome.paris", payload, reply=target)
        await client.publish("ipc.at.rome.paris", payload, reply=target)
    await client.publish("$JS.API.STREAM.INFO.IPC_IN_0", b"", reply=target)
    await client.publish("$JS.API.CONSUMER.DELETE.IPC_AT.paris", b"", reply=target)
    await ask(client, "ipc.in.0.paris.paris", b"{}")
    await ask(client, *_reader("ipc.in.0.paris.*"))
    await client.publish("$JS.API.CONSUMER.MSG.NEXT.IPC_IN_0.paris", b"1", reply=target)
    await ask(client, "$JS.API.CONSUMER.DELETE.IPC_IN_0.paris")
    await ask(client, *_reader("ipc.in.0.paris.*", deliver_subject=target))
    await client.flush()
    await ask(client, "$JS.API.STREAM.INFO.IPC_IN_0")


def _reader(subject: str, stream: str = "IPC_IN_0", name: str = "paris", asked: str = "", **more: Any) -> tuple[str, bytes]:
    """The request for a consumer: the subject of the request says ``asked``, what is inside says ``subject``."""
    config = {"name": name, "filter_subject": subject, "ack_policy": "none", "mem_storage": True, "num_replicas": 1, **more}
    payload = json.dumps({"stream_name": stream, "config": config}).encode()
    return f"$JS.API.CONSUMER.CREATE.{stream}.{name}.{asked or subject}", payload


async def pulled(client: Any) -> list[str]:
    """The subjects of all that paris's reader of the mail gives, whatever it was made to read."""
    inbox, found = client.new_inbox(), []
    subscription = await client.subscribe(inbox)
    await client.publish("$JS.API.CONSUMER.MSG.NEXT.IPC_IN_0.paris", b'{"batch":100,"no_wait":true}', reply=inbox)
    while True:
        try:
            message = await subscription.next_msg(timeout=2)
        except nats.errors.TimeoutError:
            break
        if message.headers and "Status" in message.headers:
            break
        found.append(message.subject)
    await subscription.unsubscribe()
    return found


@pytest.mark.parametrize("what", TARGETS)
def test_a_site_can_do_nothing_for_others_directly_or_by_an_answer(world: SitesWorld, what: str) -> None:
    target = TARGETS[what]
    before = world.as_admin(_state)

    async def attack(client: Any) -> None:
        for payload in PAYLOADS:
            for headers in (None, {"Nats-Rollup": "all"}):
                assert await ask(client, target, payload, headers) is None
        await by_answers(client, target)

    as_paris(world, attack)
    assert world.as_admin(_state) == before


@pytest.mark.parametrize(
    "subject", [OWN_ENTRY, "$KV.ipc_names.paris.x", "ipc.at.rome.paris", f"$O.ipc_bodies.C.rome.paris.{DIGEST}"]
)
@pytest.mark.parametrize("scope", ["all", "sub"])
def test_a_site_can_roll_up_nothing(world: SitesWorld, subject: str, scope: str) -> None:
    before = world.as_admin(_state)

    async def attack(client: Any) -> bytes | None:
        return await ask(client, subject, b"x", {"Nats-Rollup": scope})

    assert b"rollup not permitted" in as_paris(world, attack)
    assert world.as_admin(_state) == before


def test_a_site_reads_no_mail_but_its_own(world: SitesWorld) -> None:
    mine, theirs = "ipc.in.0.paris.*", "ipc.in.0.rome.*"
    asked: list[tuple[str, bytes]] = [
        _reader(theirs),
        _reader(theirs, asked=mine),
        _reader("ipc.in.0.>", asked=mine),
        _reader("", asked=mine, filter_subjects=[mine, theirs]),
        _reader("", asked=mine),
        _reader(theirs, name="rome"),
        _reader("ipc.at.berlin.*", "IPC_AT"),
        _reader("ipc.at.berlin.*", "IPC_AT", asked="ipc.at.paris.*"),
        _reader("$O.ipc_bodies.C.rome.>", "OBJ_ipc_bodies"),
        _reader("$O.ipc_bodies.C.rome.>", "OBJ_ipc_bodies", asked="$O.ipc_bodies.C.paris.x.y"),
        ("$JS.API.STREAM.MSG.GET.IPC_IN_0", b'{"last_by_subj":"ipc.in.0.rome.berlin"}'),
        ("$JS.API.DIRECT.GET.IPC_IN_0", b'{"last_by_subj":"ipc.in.0.rome.berlin"}'),
        ("$JS.API.DIRECT.GET.IPC_IN_0.ipc.in.0.rome.berlin", b""),
        ("$JS.API.DIRECT.GET.IPC_AT.ipc.at.berlin.rome", b""),
        ("$JS.API.CONSUMER.MSG.NEXT.IPC_IN_0.rome", b"1"),
        ("$JS.API.DIRECT.GET.KV_ipc_sites", b'{"last_by_subj":"ipc.in.0.rome.berlin"}'),
    ]

    async def attack(client: Any) -> None:
        for subject, payload in asked:
            answer = await ask(client, subject, payload)
            assert answer is None or b'"error"' in answer or answer == b"", (subject, payload, answer)
            assert (
                await ask(client, "$JS.API.CONSUMER.MSG.NEXT.IPC_IN_0.paris", b'{"batch":1,"no_wait":true}') != b"the owner's"
            )

    as_paris(world, attack)


def test_a_site_hears_nothing_of_what_others_write(world: SitesWorld) -> None:
    async def listen(client: Any) -> list[str]:
        heard: list[str] = []

        async def hear(message: Any) -> None:
            heard.append(message.subject)

        for subject in (">", "ipc.>", "$KV.>", "$JS.>", "$SYS.>", "_INBOX.>"):
            await client.subscribe(subject, cb=hear)
        await client.flush()
        async with connected(world.servers, world.users["berlin"]) as berlin:
            for subject in ("ipc.in.0.rome.berlin", "ipc.in.0.paris.berlin", "ipc.at.paris.berlin", "$KV.ipc_sites.berlin"):
                assert await ask(berlin, subject, b"not for the ears of paris") is not None
        await client.publish("x.end", b"")
        async with asyncio.timeout(20):
            while "x.end" not in heard:
                await asyncio.sleep(0.01)
        return [subject for subject in heard if subject != "x.end"]

    assert as_paris(world, listen) == []


def test_what_a_site_may_do_it_can(world: SitesWorld) -> None:
    async def use(client: Any) -> None:
        for subject in (OWN_ENTRY, "$KV.ipc_names.paris.x", "ipc.in.0.rome.paris", "ipc.at.rome.paris"):
            assert b'"seq"' in (await ask(client, subject, b"x") or b"")
        await ask(client, "$JS.API.CONSUMER.DELETE.IPC_IN_0.paris")
        assert b'"created"' in (await ask(client, *_reader("ipc.in.0.paris.*")) or b"")
        assert "ipc.in.0.paris.berlin" in await pulled(client)

    as_paris(world, use)


def test_in_the_account_of_the_streams_the_same_answers_would_end_a_stream() -> None:
    """So that the attacks above are known to be attacks: with permissions of a user in place of an account of its own."""
    admin, paris = NatsUser(), NatsUser()
    may = f'publish: {{ allow: ["{OWN_ENTRY}", "$JS.API.DIRECT.GET.KV_ipc_sites.>"] }}, subscribe: {{ allow: ["_INBOX.>"] }}'
    users = f"{{ nkey: {admin.public} }}, {{ nkey: {paris.public}, permissions: {{ {may} }} }}"
    with NatsServers(accounts=f"accounts {{ IPC {{ jetstream: enabled, users: [ {users} ] }} }}") as servers:

        async def run() -> tuple[int, bytes]:
            async with connected(servers, admin) as owner, connected(servers, paris) as client:
                js = owner.jetstream(timeout=10)
                await js.add_stream(name="IPC_IN_0", subjects=["ipc.in.>"])
                for name in ("KV_ipc_sites", "KV_ipc_keys"):
                    subjects = [f"{name.replace('KV_', '$KV.')}.>"]
                    await js.add_stream(name=name, subjects=subjects, allow_direct=True, max_msgs_per_subject=1)
                await js.publish("ipc.in.0.rome.berlin", b"mail")
                await js.publish("$KV.ipc_keys.rome", b"the owner's")
                for payload, target in ((b"{}", "$JS.API.STREAM.PURGE.IPC_IN_0"), (b"forged", "$KV.ipc_keys.rome")):
                    await ask(client, OWN_ENTRY, payload)
                    await client.publish(f"$JS.API.DIRECT.GET.KV_ipc_sites.{OWN_ENTRY}", b"", reply=target)
                    await client.flush()
                async with asyncio.timeout(20):
                    while (await js.stream_info("IPC_IN_0")).state.messages:
                        await asyncio.sleep(0.01)
                    while (key := (await js.get_last_msg("KV_ipc_keys", "$KV.ipc_keys.rome")).data) != b"forged":
                        await asyncio.sleep(0.01)
                return (await js.stream_info("IPC_IN_0")).state.messages, key

        assert asyncio.run(run()) == (0, b"forged")


def test_what_the_admin_did_not_sign_and_what_is_old_is_no_key(world: SitesWorld) -> None:
    """Whoever runs the servers can write anywhere; an entry of keys still counts by the admin's signature and its number."""
    subject, thief = layout.bucket_subject(layout.KEYS, "berlin"), Identity(os.urandom(32).hex())

    def entry(n: int, key: str, signer: Identity, place: str = subject) -> bytes:
        return signer.signed(KEY, place, json.dumps({"site": "berlin", "sign": key, "n": n}).encode())

    right, rightful = world.admin_sign, world.key("berlin")
    old, new = entry(10**6, thief.public, right), entry(10**6 + 1, rightful, right)
    forged = [
        old,
        entry(10**6 + 2, thief.public, thief),
        entry(10**6 + 2, thief.public, Identity(world.seeds["paris"])),
        entry(10**6 + 2, thief.public, right, layout.bucket_subject(layout.KEYS, "oslo")),
        json.dumps({"site": "berlin", "sign": thief.public, "n": 10**6 + 2}).encode(),
    ]

    async def run() -> dict[str, Any]:
        carrier = NatsCarrier(world.file("rome"), world.servers.urls, "rome", Log("nats"))
        carrier.begin({"streams": {}, "keys": {}, "marks": {}})
        tending = asyncio.create_task(carrier.tend())
        known: dict[str, Any] = {}

        async def until(done: Callable[[], bool]) -> None:
            async with asyncio.timeout(30):
                while not done():
                    known.update(carrier.news().keys)
                    await asyncio.sleep(0.01)

        try:
            async with connected(world.servers, world.admin_user) as admin:
                await admin.jetstream(timeout=10).publish(subject, new)
                await until(lambda: known.get("berlin", {}).get("n") == 10**6 + 1)
                for number, value in enumerate(forged, 1):
                    await admin.jetstream(timeout=10).publish(subject, value)
                    await until(lambda number=number: carrier.dropped["key"] == number)
                known.update(carrier.news().keys)
        finally:
            tending.cancel()
            await asyncio.gather(tending, return_exceptions=True)
            await carrier.close()
        return known

    assert asyncio.run(run())["berlin"] == {"n": 10**6 + 1, "key": rightful}


def test_two_reloads_let_a_site_in_and_disturb_nobody() -> None:
    """At the first one nats-server 2.12.8 lets its user in, and answers nothing to it."""
    with SitesWorld("paris", "rome") as world:
        oslo = NatsUser()
        blocks = [site_block(site, user.public, 1) for site, user in [*world.users.items(), ("oslo", oslo)]]

        async def keep(client: Any) -> None:
            lost: list[str] = []
            client.options["disconnected_cb"] = lambda: lost.append("gone")
            await asyncio.to_thread(world.servers.configure, accounts(streams_block(world.admin_user.public), *blocks))
            async with connected(world.servers, oslo) as new:
                assert b'"seq"' in (await ask(new, "ipc.in.0.rome.oslo", b"x") or b"")
            assert b'"seq"' in (await ask(client, "ipc.in.0.rome.paris", b"x") or b"")
            assert lost == []

        as_paris(world, keep)


def test_the_server_takes_the_printed_accounts() -> None:
    servers = NatsServers(3)
    try:
        blocks = [site_block(site, NatsUser().public, 16) for site in ("a", "r-2", 32 * "z")]
        servers.configure(accounts(streams_block(NatsUser().public), *blocks))
        assert [is_valid(node.config) for node in servers.nodes] == ["", "", ""]
    finally:
        servers.stop()
