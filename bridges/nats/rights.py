"""What a site may do at the servers, found by trying. Nothing is stored, read or made: each request is wrong on purpose.

A message that expects another stream, and a request whose body is no JSON, are refused by JetStream with an answer. Where the
site may not ask, nobody answers. So an answer shows a right.
"""

from __future__ import annotations

import asyncio

from bridges.nats import layout
from bridges.nats.admin_client import AdminClient
from bridges.nats.layout import bucket_subject, mail_stream, mail_subject, mark_subject, own_streams, stream_number
from bridges.nats.server_findings import Finding

_NOBODY = "zz-nobody"
_WRONG_STREAM = {"Nats-Expected-Stream": "none"}
_NO_JSON = b"{"


def needed(site: str, streams: int) -> list[str]:
    """Subjects that must be answered."""
    reads = [f"$JS.API.CONSUMER.CREATE.{stream}.{site}.{subject}" for stream, subject in own_streams(site, streams).items()]
    return [*_writes(site, streams), *reads]


def forbidden(site: str, streams: int) -> list[str]:
    """Subjects that must not be answered: mail, marks and entries in another's name, another's mail, and what ends a stream."""
    number = stream_number(_NOBODY, streams)
    stream = mail_stream(number)
    return [
        *_writes(_NOBODY, streams),
        bucket_subject(layout.KEYS, site),
        f"$JS.API.CONSUMER.CREATE.{stream}.{site}.ipc.in.{number}.{_NOBODY}.*",
        f"$JS.API.CONSUMER.CREATE.{stream}.{_NOBODY}.ipc.in.{number}.{_NOBODY}.*",
        f"$JS.API.STREAM.PURGE.{stream}",
        f"$JS.API.STREAM.UPDATE.{stream}",
    ]


def _writes(site: str, streams: int) -> list[str]:
    return [
        mail_subject(site, site, streams),
        mark_subject(site, site),
        bucket_subject(layout.SITES, site),
        bucket_subject(layout.NAMES, f"{site}.x"),
        layout.body_subject(site, site, "0"),
    ]


async def rights_found(client: AdminClient, site: str, streams: int) -> list[Finding]:
    must, must_not = needed(site, streams), forbidden(site, streams)
    answers = await asyncio.gather(
        *(client.answer(s, _NO_JSON, None if s.startswith("$JS.") else _WRONG_STREAM) for s in must + must_not)
    )
    missing = [s for s, answer in zip(must, answers, strict=False) if answer is None]
    extra = [s for s, answer in zip(must_not, answers[len(must) :], strict=True) if answer is not None]
    again = f"The admin puts the account of {site} into each server's configuration anew: ipc nats accounts"
    lines: list[Finding] = []
    if missing:
        lines.append(("FAIL", "rights", f"this site may not {', '.join(missing)}. {again}"))
    if extra:
        lines.append(("FAIL", "rights", f"this site may do what only others should: {', '.join(extra)}. {again}"))
    return lines or [
        ("ok", "rights", f"may write as {site} and read what is for it; may neither write as others nor read theirs")
    ]
