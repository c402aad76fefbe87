"""What a site may do at the servers: its own account, and from the account IPC, where the streams are, the subjects below.

Why an account for each site: permissions of a user look at what he publishes, not at the ``reply`` that he gives with it. The
server answers to that subject in the user's account, with all rights there. In the account of the streams such an answer would
forge a mark, overwrite an entry, or purge or delete any stream (``reply=$JS.API.STREAM.PURGE.IPC_IN_0``). In a site's own
account the answer meets no more than what the site may do anyway. So a site's user needs no permissions of its own: the list
of imports is all there is.
"""

from __future__ import annotations

from bridges.nats import layout
from bridges.nats.layout import bucket_stream, mail_stream, stream_number

EXPORTS = (
    ("ipc.in.>", ""),
    ("ipc.at.>", ""),
    ("$KV.>", ""),
    ("$O.>", ""),
    ("$JS.API.>", "Stream"),
    ("$JS.FC.>", ""),
)
"""What the account of the streams offers: a subject, and how many answers a request may have. A site has what it imports."""
_INDENT = "  "


def imports(site: str, streams: int) -> list[str]:
    """The subjects on which a site may ask the account of the streams, whose mail is in ``streams`` streams."""
    number = stream_number(site, streams)
    api = "$JS.API"
    return [
        # writes
        f"ipc.in.*.*.{site}",
        f"ipc.at.*.{site}",
        layout.bucket_subject(layout.SITES, site),
        layout.bucket_subject(layout.NAMES, f"{site}.>"),
        f"$O.{layout.BODIES}.C.*.{site}.*",
        # which streams there are, and when they were made
        f"{api}.INFO",
        *(f"{api}.STREAM.INFO.{name}" for name in layout.all_streams(streams)),
        # its own mail
        *_consumer(mail_stream(number), site, f"ipc.in.{number}.{site}.*"),
        # marks for what it sent
        *_consumer(layout.MARKS, site, f"ipc.at.{site}.*"),
        f"{api}.DIRECT.GET.{layout.MARKS}.ipc.at.{site}.*",
        # the directory
        *(line for bucket in layout.BUCKETS for line in _readable(bucket_stream(bucket), site)),
        # large bodies for it
        *_consumer(layout.BODIES_STREAM, site, f"$O.{layout.BODIES}.C.{site}.>"),
    ]


def _consumer(stream: str, name: str, subject: str) -> list[str]:
    """One consumer of this name, which sees this subject alone: the server compares it with what the request asks for."""
    return [
        f"$JS.API.CONSUMER.CREATE.{stream}.{name}.{subject}",
        f"$JS.API.CONSUMER.DELETE.{stream}.{name}",
        f"$JS.API.CONSUMER.MSG.NEXT.{stream}.{name}",
    ]


def _readable(stream: str, name: str) -> list[str]:
    """All that is in a bucket, one by one or through a consumer of this name. Another's consumers it can't remove."""
    return [
        f"$JS.API.DIRECT.GET.{stream}",
        f"$JS.API.DIRECT.GET.{stream}.>",
        *_consumer(stream, name, ">"),
    ]


def account_of(site: str) -> str:
    return f"SITE_{site}"


def site_block(site: str, user_key: str, streams: int) -> str:
    """The account of a site, for the ``accounts`` of a server's configuration."""
    lines = [f"{account_of(site)} {{", f"  users: [ {{ nkey: {user_key} }} ]", "  imports: ["]
    lines += [f'    {{ service: {{ account: IPC, subject: "{subject}" }} }}' for subject in imports(site, streams)]
    lines += [f'    {{ stream: {{ account: IPC, subject: "{layout.inbox(site)}.>" }} }}', "  ]", "}"]
    return "\n".join(_INDENT + line for line in lines)


def streams_block(admin_key: str) -> str:
    """The account of the streams, with the admin as its only user."""
    lines = ["IPC {", "  jetstream: enabled", f"  users: [ {{ nkey: {admin_key} }} ]   # the admin", "  exports: ["]
    for subject, answers in EXPORTS:
        kind = f", response_type: {answers}" if answers else ""
        lines.append(f'    {{ service: "{subject}"{kind} }}')
    lines += [f'    {{ stream: "{layout.INBOXES}.>" }}', "  ]", "}"]
    return "\n".join(_INDENT + line for line in lines)


def accounts(*blocks: str) -> str:
    """The whole of ``accounts``, of blocks."""
    return "\n".join(["accounts {", *blocks, "}", ""])
