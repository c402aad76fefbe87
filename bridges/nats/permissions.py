"""What a site may do at the servers: its own account, and from the account IPC, where the streams are, the subjects below.

Why an account for each site: permissions of a user look at what he publishes, not at the ``reply`` that he gives with it. The
server answers to that subject in the user's account, with all rights there. In the account of the streams such an answer would
forge a mark, overwrite an entry, or purge or delete any stream (``reply=$JS.API.STREAM.PURGE.IPC_IN_0``). In a site's own
account the answer meets no more than what the site may do anyway. So a site's user needs no permissions of its own: the list
of imports is all there is.
"""

from __future__ import annotations

from bridges.nats import layout
from bridges.nats.layout import bucket_stream

EXPORTS = ("ipc.in.>", "ipc.at.>", "$KV.>", "$O.>", "$JS.API.>")
"""What the account of the streams offers. A site has what it imports of it."""
_API = "$JS.API"
_INDENT = "  "


def imports(site: str, streams: int) -> list[str]:
    """The subjects on which a site may ask the account of the streams, whose mail is in ``streams`` streams."""
    found = [
        # mail, marks, its own entries and bodies: the site's name stands in each
        f"ipc.in.*.*.{site}",
        f"ipc.at.*.{site}",
        layout.bucket_subject(layout.SITES, site),
        layout.bucket_subject(layout.NAMES, f"{site}.>"),
        layout.body_subject("*", site, "*"),
        # without it nats-server answers each request of this account a second time: JetStream is not enabled
        f"{_API}.INFO",
        # which streams there are, and when they were made
        *(f"{_API}.STREAM.INFO.{name}" for name in layout.all_streams(streams)),
        # entries of others, which are signed
        *(f"{_API}.DIRECT.GET.{bucket_stream(bucket)}.$KV.{bucket}.>" for bucket in (layout.KEYS, layout.SITES)),
        f"{_API}.DIRECT.GET.{bucket_stream(layout.SITES)}",
    ]
    # one consumer of the site's name in each stream, for its subjects alone: the server compares them with what is asked for
    for stream, subject in layout.own_streams(site, streams).items():
        found.append(f"{_API}.CONSUMER.CREATE.{stream}.{site}.{subject}")
        found.append(f"{_API}.CONSUMER.DELETE.{stream}.{site}")
        found.append(f"{_API}.CONSUMER.MSG.NEXT.{stream}.{site}")
    return found


def account_of(site: str) -> str:
    return f"SITE_{site}"


def site_block(site: str, user_key: str, streams: int) -> str:
    """The account of a site, for the ``accounts`` of a server's configuration."""
    lines = [f"{account_of(site)} {{", f"  users: [ {{ nkey: {user_key} }} ]", "  imports: ["]
    lines += [f'    {{ service: {{ account: IPC, subject: "{subject}" }} }}' for subject in imports(site, streams)]
    lines += ["  ]", "}"]
    return "\n".join(_INDENT + line for line in lines)


def streams_block(admin_key: str) -> str:
    """The account of the streams, with the admin as its only user."""
    lines = ["IPC {", "  jetstream: enabled", f"  users: [ {{ nkey: {admin_key} }} ]   # the admin", "  exports: ["]
    lines += [f'    {{ service: "{subject}", response_type: Stream }}' for subject in EXPORTS]
    lines += ["  ]", "}"]
    return "\n".join(_INDENT + line for line in lines)


def accounts(*blocks: str) -> str:
    """The whole of ``accounts``, of blocks."""
    return "\n".join(["accounts {", *blocks, "}", ""])
