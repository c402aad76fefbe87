"""What each request about names, groups, claims and presence does, and what its reply must say."""

from broker.core.values import iso
from tests.deep.faults.company import Held
from tests.deep.faults.judge import Call, Judge
from tests.deep.faults.model import Wrong


def register(judge: Judge, call: Call) -> None:
    model, name = judge.model, call.body["instance_id"]
    forward = model.forwards.get(name)
    refusal = "name_taken" if name in model.groups else None
    if forward is not None and forward[1] > judge.wall_s:
        refusal = "name_forwarding"
    if refusal is None and name in model.names and not call.body.get("force") and model.is_held(model.names[name], call.key[0]):
        refusal = "name_held"
    if call.refused(refusal):
        return
    if name in model.names:
        judge.replaced(model.names[name])
    box = model.registers(name, call.told()["session_token"], judge.wall_s, call.key[0])
    call.must_say(queued=len(box.unread))


def end_session(judge: Judge, call: Call) -> None:
    """An expired session may have been swept meanwhile; then there is none to end."""
    model, box = judge.model, judge.model.names.get(call.body["name"])
    call.refused(None)
    session, ended = model.session_of(box), call.told()["ended"]
    expired = session is not None and judge.wall_s - session.seen_s > model.settings.session_timeout_s
    if ended != (session is not None) and not expired:
        raise Wrong(f"{call.body} was answered {call.reply}, and there is {session}")
    if ended and box is not None:
        judge.replaced(box)
        model.ends_session(box)


def unregister(judge: Judge, call: Call) -> None:
    call.refused(None)
    box = call.box
    judge.replaced(box)
    judge.model.ends_session(box)
    box.claimed = False
    left = f" with {len(box.unread)} queued messages, which stay" if box.unread else ""
    call.must_say(message=f"Unregistered {box.name}{left}")


def rename(judge: Judge, call: Call) -> None:
    model, box, new = judge.model, call.box, call.body["new_id"]
    if new == box.name:
        call.refused(None)
        return
    if call.refused(model.rename_refusal(box, new, judge.wall_s)):
        return
    old = box.name
    model.renames(box, new, judge.wall_s)
    call.must_say(message=f"Renamed {old} to {new}")
    model.tell_of_rename(box, f"📝 {old} renamed to {new}", judge.wall_s)


def whoami(_judge: Judge, call: Call) -> None:
    call.refused(None)
    call.must_say(instance_id=call.box.name, queued=len(call.box.unread))


def list_(judge: Judge, call: Call) -> None:
    call.refused(None)
    rows = []
    told = {row["id"]: row["last_seen"] for row in call.told()["instances"]}
    for box in sorted((b for b in judge.model.boxes if b.claimed), key=lambda b: b.name):
        if box in judge.asking and told.get(box.name) == iso(judge.wall_s):
            box.seen_s = judge.wall_s  # an attempt before this one saw it
        presence = judge.model.presence_of(box, judge.wall_s)
        row = {"id": box.name, "last_seen": iso(box.seen_s), "presence": presence}
        if box.note and presence != "gone":
            row["note"] = box.note
        rows.append({**row, "reach": box.reach} if box.reach else row)
    shown = [{k: v for k, v in row.items() if k not in ("silent_s", "ended")} for row in call.told()["instances"]]
    if shown != rows:
        raise Wrong(f"the list is {rows}, and {shown} was told")


def presence(judge: Judge, call: Call) -> None:
    call.refused(None)
    body, box = call.body, call.box
    if body.get("reach") is not None:
        box.reach = list(body["reach"])
    state, note = body.get("state"), body.get("note")
    if note is None and state not in (None, box.presence):
        note = ""
    box.presence = box.presence if state is None else state
    box.note = box.note if note is None else note
    call.must_say(presence=judge.model.presence_of(box, judge.wall_s), note=box.note, reach=box.reach)


def groups(judge: Judge, call: Call) -> None:
    call.refused(None)
    model = judge.model
    rows = []
    for name, members in sorted(model.groups.items()):
        there = sorted(b.name for b in members if b.claimed and b in model.boxes)
        rows.append({"name": name, "members": there, "mine": call.box in members})
    told = [{**row, "members": sorted(row["members"])} for row in call.told()["groups"]]
    if told != rows:
        raise Wrong(f"groups are {rows}, and {told} was told")


def group_create(judge: Judge, call: Call) -> None:
    name = call.body["group"]
    if not call.refused(judge.model.group_refusal(name, judge.wall_s)):
        judge.model.creates(name, call.box, judge.wall_s)


def group_join(judge: Judge, call: Call) -> None:
    members = judge.model.groups.get(call.body["group"])
    if not call.refused("unknown_group" if members is None else None) and members is not None and call.box not in members:
        members.append(call.box)


def group_leave(judge: Judge, call: Call) -> None:
    name = call.body["group"]
    if not call.refused(None if name in judge.model.groups else "unknown_group"):
        judge.model.leaves(name, call.box)


def block(judge: Judge, call: Call) -> None:
    other = judge.model.find(call.body["name"], judge.wall_s)
    refusal = "unknown_name" if other is None else "bad_request" if other is call.box else None
    if not call.refused(refusal) and other is not None:
        call.box.blocked.pop(other, None)
        call.box.blocked[other] = call.body["mode"]


def unblock(judge: Judge, call: Call) -> None:
    other = judge.model.find(call.body["name"], judge.wall_s)
    if not call.refused("unknown_name" if other is None else None) and other is not None:
        call.box.blocked.pop(other, None)


def blocks(judge: Judge, call: Call) -> None:
    call.refused(None)
    there = [(b.name, mode) for b, mode in call.box.blocked.items() if b in judge.model.boxes]
    call.must_say(blocks=[{"name": name, "mode": mode} for name, mode in sorted(there)])


def claim(judge: Judge, call: Call) -> None:
    model, body, box, wall_s = judge.model, call.body, call.box, judge.wall_s
    others = model.conflicts(box, body["resource"], wall_s)
    if call.refused("claim_conflict" if others else None):
        told = call.told()["message"]
        if not any(told.startswith(f"{c.box.name} has claimed {c.resource} since {iso(c.since_s)} ") for c in others):
            raise Wrong(f"{body} is in conflict with {others}, and {told}")
        return
    model.drop_lapsed_claims(wall_s)
    until_s = wall_s + (body.get("ttl_s") or 1800.0)
    same = next((c for c in model.claims if c.box is box and c.resource == body["resource"]), None)
    if same is None:
        same = Held(box, body["resource"], wall_s, until_s, "")
        model.claims.append(same)
    same.until_s, same.note = until_s, body.get("note", same.note)
    call.must_say(claimed={"resource": same.resource, "since": iso(same.since_s), "until": iso(until_s)})


def claim_release(judge: Judge, call: Call) -> None:
    call.refused(None)
    model, resource = judge.model, call.body.get("resource")
    model.drop_lapsed_claims(judge.wall_s)
    gone = [c for c in model.claims if c.box is call.box and resource in (None, c.resource)]
    model.claims = [c for c in model.claims if c not in gone]
    call.must_say(released=len(gone))


def claims(judge: Judge, call: Call) -> None:
    call.refused(None)
    model = judge.model
    model.drop_lapsed_claims(judge.wall_s)
    rows = [
        {
            "resource": c.resource,
            "holder": c.box.name,
            "note": c.note,
            "since": iso(c.since_s),
            "until": iso(c.until_s),
            "mine": c.box is call.box,
        }
        for c in model.overlapping(call.body.get("resource"))
    ]
    told = sorted(call.told()["claims"], key=str)
    if told != sorted(rows, key=str):
        raise Wrong(f"claims are {rows}, and {told} was told")


def autocheck(_judge: Judge, call: Call) -> None:
    call.refused(None)
    box = call.box
    if call.body.get("minutes") is not None:
        box.minutes = call.body["minutes"]
    call.must_say(autocheck="on" if box.minutes else "off", minutes=box.minutes or None)


HANDLERS = {
    **{
        "register": register,
        "end_session": end_session,
        "unregister": unregister,
        "rename": rename,
        "whoami": whoami,
        "list": list_,
        "presence": presence,
    },
    **{"groups": groups, "group_create": group_create, "group_join": group_join, "group_leave": group_leave},
    **{"block": block, "unblock": unblock, "blocks": blocks, "claim": claim, "claim_release": claim_release},
    "claims": claims,
    "autocheck": autocheck,
}
