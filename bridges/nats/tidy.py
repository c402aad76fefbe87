"""Mail that a site has read leaves its stream, up to the cursor that the site itself has told and signed, and never beyond."""

from __future__ import annotations

import json
from typing import Any

from bridges.nats.admin_client import AdminClient
from bridges.nats.envelope import SITE, Forged, verified
from bridges.nats.layout import SITES, bucket_subject, mail_stream, stream_number
from bridges.plurals import number_of


async def tidy_site(client: AdminClient, site: str, key: str, streams: int) -> tuple[str, str]:
    """(ok or warn, what was done) for the mail of one site. Raises Trouble."""
    told, why = await told_by(client, site, key)
    cursor, born = told.get("cursor"), told.get("born")
    if why or type(cursor) is not int or cursor < 1:
        return "warn", f"left as it is: {why or 'the site has read nothing yet'}"
    number = stream_number(site, streams)
    info = await client.stream(mail_stream(number))
    if info is None:
        return "warn", f"its stream {mail_stream(number)} is missing; ipc nats init makes it"
    if info["created"] != born:
        return "warn", "left as it is: its stream was made anew, and the site has not read there yet"
    # seq is the first that stays
    last = min(cursor, int(info["state"]["last_seq"]))
    done = await client.api(f"STREAM.PURGE.{mail_stream(number)}", {"filter": f"ipc.in.{number}.{site}.*", "seq": last + 1})
    return "ok", f"{number_of(int(done.get('purged') or 0), 'read message')} removed"


async def told_by(client: AdminClient, site: str, key: str) -> tuple[dict[str, Any], str]:
    """(what a site says of itself in ``ipc_sites``, why that can't be believed)."""
    stored = await client.entry(SITES, site)
    if stored is None:
        return {}, "the site was never there"
    try:
        found = json.loads(verified(key, SITE, bucket_subject(SITES, site), stored.value))
    except (Forged, ValueError):
        return {}, "its entry in ipc_sites is not signed by its key"
    good = isinstance(found, dict) and found.get("site") == site
    return (found, "") if good else ({}, "its entry in ipc_sites is another's")
