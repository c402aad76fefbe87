"""What each request about mail does, and what its reply must say."""

from typing import Any

from broker.core.values import iso
from tests.deep.faults.judge import Call, Judge, body_land
from tests.deep.faults.model import DIGEST, INTERRUPT, LANDS, TOOL, TURN, Box, Letter, Question, Wait, Wrong

_LARGE = 10_240
_HOPS = 8


def _post(
    judge: Judge,
    call: Call,
    to: tuple[list[Box] | None, str | None, str],
    *,
    content: str,
    refusal: str | None = None,
    turns: bool = True,
    **fields: Any,
) -> Letter | None:
    """A message to a name or group: refused as it must be, or stored. ``refusal`` comes before those of the recipient."""
    model, body, sender, wall_s = judge.model, call.body, call.box, judge.wall_s
    boxes, group, sentence = to
    person = bool(body.get("person"))
    full: list[str] = []
    if refusal is None and group is None:
        refusal = model.one_refusal(sender, boxes[0] if boxes else None, judge.mono_s, person=person, turns=turns)
    if call.reply is None and refusal is None:
        pass  # a question that waits
    elif call.refused(refusal):
        return None
    if boxes is None:
        boxes = [model.box(body["to_id"], wall_s)]
    if group is not None:
        boxes, full = model.room(sender, boxes)
        sentence = f"Posted to {len(boxes)} member{'' if len(boxes) == 1 else 's'} of {group}"
    elif turns:
        model.take_turn(sender, boxes[0], wall_s, judge.mono_s, person=person)
    ttl_s = min(body.get("ttl_s") or model.unread_ttl_s, model.unread_ttl_s)
    number = model.number + 1
    client_id = body.get("message_id")
    letter = Letter(number, sender, sender.name, _text(judge, number, content), wall_s, wall_s + ttl_s, client_id)
    letter.land = TOOL if body.get("land") is None else LANDS.index(body["land"])
    letter.group, letter.brief, letter.whole = group, ttl_s < model.unread_ttl_s, content
    for name, value in fields.items():
        setattr(letter, name, value)
    model.store(letter, boxes)
    if client_id is not None:
        model.sent[sender, client_id] = letter, sentence
    if call.reply is not None:
        call.must_say(message=sentence, message_id=client_id or str(number), duplicate=None, mailbox_full=full or None)
    return letter


def _text(judge: Judge, number: int, content: str) -> str:
    return content if len(content) <= _LARGE else judge.large(number)


def _spoofed(judge: Judge, call: Call, field: str = "from_id") -> bool:
    claimed = call.body.get(field)
    own = claimed is None or judge.model.is_own(call.box, claimed, judge.wall_s)
    return not own and call.refused("spoofed_sender")


def _repeated(judge: Judge, call: Call) -> Letter | None:
    """The letter that was stored under this id before, whose answer the reply must repeat."""
    known = judge.model.known(call.box, call.body.get("message_id"), judge.wall_s)
    if known is None:
        return None
    if call.reply is not None:
        call.refused(None)
        call.must_say(duplicate=True, message=known[1], message_id=call.body["message_id"])
    judge.model.counts["duplicates"] += 1
    return known[0]


def send(judge: Judge, call: Call) -> None:
    if _spoofed(judge, call) or _repeated(judge, call):
        return
    model, body = judge.model, call.body
    refusal = None
    fields: dict[str, Any] = {}
    if body.get("thread") is not None:
        thread = model.named(call.box, body["thread"])
        refusal = "unknown_message" if thread is None else None
        fields["thread"] = thread.root if thread else None
    old = None
    if body.get("supersedes") is not None and refusal is None:
        old = model.named(call.box, body["supersedes"], own=True)
        refusal = "unknown_message" if old is None else None
        fields["supersedes"] = old.number if old else None
    letter = _post(
        judge, call, model.resolve(body["to_id"], judge.wall_s), content=body["message"]["content"], refusal=refusal, **fields
    )
    if letter is None:
        return
    call.must_say(thread=str(letter.thread) if letter.thread else None)
    if old is not None:
        model.takes_back(old, call.told()["superseded"], judge.waits)


def broadcast(judge: Judge, call: Call) -> None:
    if _spoofed(judge, call) or _repeated(judge, call):
        return
    call.refused(None)
    model, body, sender = judge.model, call.body, call.box
    to, full = model.room(sender, [b for b in model.boxes if b.claimed and b is not sender])
    sentence = f"Broadcast to {len(to)} instances"
    call.must_say(count=len(to), message=sentence, mailbox_full=full or None)
    number = model.number + 1
    text = _text(judge, number, body["message"]["content"])
    expires_s = judge.wall_s + model.unread_ttl_s
    letter = Letter(number, sender, sender.name, text, judge.wall_s, expires_s, body["message_id"], land=DIGEST)
    model.store(letter, to)
    model.sent[sender, body["message_id"]] = letter, sentence


def reply(judge: Judge, call: Call) -> None:
    model, body, box = judge.model, call.body, call.box
    first = model.named(box, body["to_message"])
    if first is None:
        call.refused("unknown_message")
        return
    if first.sender is not box:
        to = first.sender if first.sender in model.boxes else None
        refusal = None if to is not None else "not_answerable"
    else:
        there = [b for b in first.to if b in model.boxes]
        to = there[0] if len(there) == 1 else None
        refusal = None if to is not None else "bad_request"
    if to is None:
        call.refused(refusal)
        return
    if _repeated(judge, call):
        call.must_say(to=to.name, thread=str(first.root))
        return
    hops = 0
    if body.get("auto"):
        hops = first.hops + 1
        refusal = "too_many_hops" if hops > _HOPS else None
    content = body["message"]["content"]
    fields: dict[str, Any] = {"thread": first.root, "reply_to": first.number, "hops": hops}
    thanks = first.reply_to is not None and first.sender is not box and len(content) < 200 and "data" not in body["message"]
    if thanks and body.get("land") is None:
        fields["land"] = DIGEST
    letter = _post(judge, call, ([to], None, "Message sent"), content=content, refusal=refusal, **fields)
    if letter is None:
        return
    question = first.question
    answers = question is not None and question.answer is None and question.asker is to
    if answers and question is not None:
        question.answer = letter.number
        model.counts["questions answered"] += 1
    call.must_say(to=to.name, thread=str(first.root), answers=str(first.number) if answers else None)
    call.must_say(land=LANDS[DIGEST] if letter.land == DIGEST else None)


def ask(judge: Judge, call: Call) -> None:
    if _spoofed(judge, call):
        return
    model, body, box = judge.model, call.body, call.box
    letter = _repeated(judge, call)
    if letter is None:
        to = model.resolve(body["to_id"], judge.wall_s)
        letter = _post(
            judge, call, to, content=body["message"]["content"], refusal="bad_request" if to[1] is not None else None
        )
        if letter is None:
            return
        letter.question = Question(box, letter.to[0], judge.wall_s + (body.get("deadline_s") or 600.0))
    wait_s = body.get("wait_s") or 0
    wait = Wait(call.key, judge.mono_s + wait_s, letter=letter, fields={"message_id": body["message_id"]})
    if letter.question is not None and letter.question.answer is not None:
        judge.answers(box, wait, call.told())
    elif wait_s > 0:
        if call.reply is not None:
            raise Wrong(f"{body} was answered at once with {call.reply}")
        judge.waits_for(box, wait)
    else:
        call.must_say(state="open", messages=[], more=len(box.unread) - box.held())


def forward(judge: Judge, call: Call) -> None:
    if _spoofed(judge, call):
        return
    model, body = judge.model, call.body
    first = model.named(call.box, body["forward_id"])
    if first is None:
        call.refused("unknown_message")
        return
    if _repeated(judge, call):
        return
    text = first.whole or first.content
    content = f"{body['note']}\n\n{text}" if body.get("note") else text
    shown = first.forwarded or {"from": first.name, "id": str(first.number), "timestamp": iso(first.created_s)}
    hops = first.hops + 1
    to = model.resolve(body["to_id"], judge.wall_s)
    refusal = "too_many_hops" if hops > _HOPS else None
    _post(judge, call, to, content=content, refusal=refusal, forwarded=shown, hops=hops)


def withdraw(judge: Judge, call: Call) -> None:
    letter = judge.model.named(call.box, call.body["withdraw_id"], own=True)
    if not call.refused(None if letter is not None else "unknown_message") and letter is not None:
        judge.model.takes_back(letter, call.told()["withdrawn"], judge.waits)


def receipts(judge: Judge, call: Call) -> None:
    model = judge.model
    letters = [model.named(call.box, text, own=True) for text in call.body["ids"]]
    if call.refused(None if None not in letters else "unknown_message"):
        return
    told = sorted((row["to"], row["id"], row["state"]) for row in call.told()["receipts"])
    wanted = sorted(
        (box.name, text, _receipt(letter, box))
        for text, letter in zip(call.body["ids"], letters, strict=True)
        for box in (letter.to if letter else ())
        if box in model.boxes
    )
    for row, expected in zip(told, wanted, strict=True):
        if row[:2] != expected[:2] or row[2] not in expected[2]:
            raise Wrong(f"a receipt says {row}, expected: {expected}")


def _receipt(letter: Letter, box: Box) -> tuple[str, ...]:
    """What may have become of a letter at one recipient's."""
    entry = box.entry(letter.number)
    if entry is not None:
        if entry.held_until_s is not None or entry.shown:
            return ("delivered",)
        return ("queued", "delivered") if entry.shown is None else ("queued",)
    if letter.read.get(box) == "muted":
        return ("queued",)
    if letter.read.get(box) == "expired":
        return ("gone",)
    if box in letter.read:
        return ("answered",) if letter.question is not None and letter.question.answer is not None else ("read",)
    return ("gone",)


def asks(judge: Judge, call: Call) -> None:
    call.refused(None)
    for row in call.told()["asks"]:
        letter = judge.model.letters.get(int(row["id"]))
        question = letter.question if letter is not None else None
        if letter is None or question is None or call.box not in (question.asker, question.asked):
            raise Wrong(f"{call.box.name} was shown the question {row}")
        late = question.deadline_s <= judge.wall_s
        state = "answered" if question.answer is not None else "stale" if late else "open"
        answer = None if question.answer is None else str(question.answer)
        told = (row["state"], row["to"], row["from"], row.get("answer"))
        if told != (state, question.asked.name, letter.name, answer) or call.body.get("state") not in (None, state):
            raise Wrong(f"the question {letter.number} is {state}, answer {answer}, and was shown as {row}")


def check(judge: Judge, call: Call) -> None:
    body, box, model = call.body, call.box, judge.model
    wait_s = body.get("wait_s") or 0
    wait = Wait(call.key, judge.mono_s + wait_s, body["limit"], body.get("max_bytes") or 1024 * 1024, body_land(body))
    if call.reply is None:
        if not wait_s or model.free(box, wait.land, judge.wall_s):
            raise Wrong(f"{box.name} has mail, and {body} waits")
        judge.waits_for(box, wait)
        return
    call.refused(None)
    model.hands_out(box, wait, call.told()["messages"], judge.now, sure=judge.sure)
    call.must_say(more=len(box.unread) - box.held())


def ack(judge: Judge, call: Call) -> None:
    call.refused(None)
    judge.model.acks(call.box, call.body["ids"], call.told()["acked"], judge.waits)


def release(judge: Judge, call: Call) -> None:
    call.refused(None)
    call.must_say(released=judge.model.releases(call.box, call.body.get("ids")))


def touch(judge: Judge, call: Call) -> None:
    call.refused(None)
    call.must_say(touched=judge.model.touches(call.box, call.body["ids"], judge.mono_s, call.body.get("lease_s")))


def count(judge: Judge, call: Call) -> None:
    call.refused(None)
    box = call.box
    unread = box.free()
    senders: dict[str, int] = {}
    for entry in box.unread if unread else ():
        senders[entry.letter.name] = senders.get(entry.letter.name, 0) + 1
    quiet = unread - box.free(TURN)
    call.must_say(**{"unread": unread, "interrupt": box.free(INTERRUPT), "digest": quiet, "from": senders})


def subscribe(judge: Judge, call: Call) -> None:
    call.refused(None)
    wait = Wait(call.key, limit=call.body.get("window") or 0)
    if call.body.get("notify"):
        call.must_say(unread=call.box.free(TURN))
        call.box.watchers.append(wait)
    else:
        call.box.subscription = wait


def unsubscribe(judge: Judge, call: Call) -> None:
    call.refused(None)
    if call.box.subscription is not None and call.box.subscription.key[0] == call.key[0]:
        call.box.subscription = None
    call.box.watchers = [w for w in call.box.watchers if w.key[0] != call.key[0]]


def archive(judge: Judge, call: Call) -> None:
    """``history`` and ``search``: newest first, nothing that is not one's own, all as it was written."""
    call.refused(None)
    ids = [int(m["id"]) for m in call.told()["messages"]]
    if ids != sorted(ids, reverse=True):
        raise Wrong(f"{call.body} was answered in the order {ids}")
    for message in call.told()["messages"]:
        letter = judge.model.letters.get(int(message["id"]))
        if letter is None:
            continue  # older than what the model keeps
        known = letter.sender is call.box or call.box in letter.to
        if not known or message["message"]["content"] != letter.content:
            raise Wrong(f"{call.box.name} found {message}")
        if "query" in call.body and call.body["query"] not in letter.content:
            raise Wrong(f"{call.body} found {message}")


def import_(judge: Judge, call: Call) -> None:
    """Mail of another system; its writer gets a mailbox without a session."""
    model, body = judge.model, call.body
    known = model.find(body["from_id"], judge.wall_s)
    if known is None and call.refused("name_taken" if body["from_id"] in model.groups else None):
        return
    before = model.known(known, body["message_id"], judge.wall_s, forever=True) if known else None
    if before is not None:
        call.must_say(duplicate=True)
        return
    boxes, group, sentence = model.resolve(body["to_id"], judge.wall_s)
    writer = known or Box(0, body["from_id"])
    if group is None and call.refused(model.one_refusal(writer, boxes[0] if boxes else None, judge.mono_s, person=True)):
        return
    writer = known or model.box(body["from_id"], judge.wall_s)
    if boxes is None:
        boxes = [model.box(body["to_id"], judge.wall_s)]
    if group is not None:
        boxes = model.room(writer, boxes)[0]
    letter = Letter(model.number + 1, writer, writer.name, body["message"]["content"], judge.wall_s, 0.0, body["message_id"])
    letter.created_s, letter.expires_s = min(body["timestamp"], judge.wall_s), judge.wall_s + model.unread_ttl_s
    letter.group = group
    model.store(letter, boxes)
    model.sent[writer, body["message_id"]] = letter, sentence
    call.must_say(message_id=str(letter.number), duplicate=None)


HANDLERS = {
    **{"send": send, "broadcast": broadcast, "reply": reply, "ask": ask, "forward": forward, "withdraw": withdraw},
    **{"receipts": receipts, "asks": asks, "check": check, "ack": ack, "release": release, "touch": touch, "count": count},
    **{"subscribe": subscribe, "unsubscribe": unsubscribe, "history": archive, "search": archive, "import": import_},
}
