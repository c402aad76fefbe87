"""Names in NATS: streams, buckets and subjects. Nothing else in the tree spells one of them.

    stream IPC_IN_K      mail          ipc.in.K.DST.SRC, K = crc32(DST) % S
    stream IPC_AT        marks         ipc.at.SRC.DST (the receiver DST tells the sender SRC how far it is)
    bucket ipc_keys      keys          $KV.ipc_keys.SITE, written and signed by the admin alone
    bucket ipc_sites     sites         $KV.ipc_sites.SITE: the heartbeat, lease and cursor of a site
    bucket ipc_names     names         $KV.ipc_names.SITE.NAME
    object store ipc_bodies            large bodies, named by the SHA-256 of the sealed bytes, as parts on the subject
                                       $O.ipc_bodies.C.DST.SRC.SHA256, so that permissions tell one site's from another's

S, the number of streams of mail, stands in ipc_keys, too: the key ``_streams`` holds ``{"streams": S, "n": N}``, signed by the
admin as the entries of sites are. No site's name begins with ``_``. Where the key is missing, S is 1.
"""

from __future__ import annotations

from zlib import crc32

MARKS = "IPC_AT"
KEYS, SITES, NAMES, BODIES = "ipc_keys", "ipc_sites", "ipc_names", "ipc_bodies"
BUCKETS = (KEYS, SITES, NAMES)
BODIES_STREAM = f"OBJ_{BODIES}"
INBOXES = "_INBOX"
"""A site's own subjects begin with it and the site's name."""
STREAMS_KEY = "_streams"


def mail_stream(number: int) -> str:
    return f"IPC_IN_{number}"


def stream_number(destination: str, streams: int) -> int:
    """K: in which of S streams the mail for a site is."""
    return crc32(destination.encode()) % streams


def mail_subject(destination: str, source: str, streams: int) -> str:
    return f"ipc.in.{stream_number(destination, streams)}.{destination}.{source}"


def mark_subject(source: str, destination: str) -> str:
    """Where ``destination`` tells ``source`` how far it has read."""
    return f"ipc.at.{source}.{destination}"


def inbox(site: str) -> str:
    """The prefix of the subjects on which answers come."""
    return f"{INBOXES}.{site}"


def all_streams(streams: int) -> list[str]:
    """Every stream that there is, where mail is in ``streams`` of them."""
    return [*map(mail_stream, range(streams)), MARKS, *map(bucket_stream, BUCKETS), BODIES_STREAM]


def bucket_stream(bucket: str) -> str:
    return f"KV_{bucket}"


def bucket_subject(bucket: str, key: str) -> str:
    return f"$KV.{bucket}.{key}"


def body_subject(destination: str, source: str, digest: str) -> str:
    return f"$O.{BODIES}.C.{destination}.{source}.{digest}"


def own_streams(site: str, streams: int) -> dict[str, str]:
    """What a site reads, each through a consumer that has the site's name: stream to the filter of its subjects."""
    number = stream_number(site, streams)
    return {
        mail_stream(number): f"ipc.in.{number}.{site}.*",
        MARKS: f"ipc.at.{site}.*",
        bucket_stream(KEYS): bucket_subject(KEYS, ">"),
        bucket_stream(NAMES): bucket_subject(NAMES, ">"),
        BODIES_STREAM: f"$O.{BODIES}.C.{site}.>",
    }
