"""What a user may order: to learn something, to write into a file, to hand work over, to take it over.

A goal says what comes next, from the conversation alone, and from the words of our texts in it.
"""

import re
from dataclasses import dataclass

from bench.hosts.model_dialects import Order
from tests.team.conversation import Call, Conversation
from tests.team.reader import ASK, CLAIM, REACHED, RELEASE, REPLY, SHELL, TELL, Goal, Mail, Reader, mails


@dataclass(frozen=True)
class Learn(Goal):
    """Find something out from the agent that runs in a program."""

    program: str
    question: str
    what: str

    def next(self, reader: Reader, seen: Conversation) -> Order | None:
        asked = seen.said(self.question)
        if asked is None:
            peer = reader.peer(seen, self.program)
            return peer if not isinstance(peer, str) else reader.act(seen, ASK, recipient=peer, text=self.question)
        answer = next((m for m in mails(seen) if _answers(m, asked)), None)
        if answer is None:
            return reader.wait(seen)
        reader.answers[self.what] = answer.text
        return REACHED


def _answers(mail: Mail, asked: Call) -> bool:
    """Whether a message answers the question of a call: it came as the call's result, or names the question's number."""
    number = re.search(r"question (\d+)", asked.result)
    return f"id {mail.id} from" in asked.result if number is None else mail.answers(number[1])


@dataclass(frozen=True)
class Write(Goal):
    """Add a line to a file that others edit, too. ``keep``: until somebody asks for the file."""

    path: str
    line: str
    keep: bool = False

    def next(self, reader: Reader, seen: Conversation) -> Order | None:
        line = self.line.format(**reader.answers)
        held = reader.holds(seen, self.path)
        if seen.said(f"echo {line}") is None:
            return reader.act(seen, SHELL, command=f"echo {line} >> {self.path}") if held else self._claim(reader, seen)
        return reader.act(seen, RELEASE, path=self.path, choice="release") if held and not self.keep else REACHED

    def _claim(self, reader: Reader, seen: Conversation) -> Order | None:
        """Claim the file, or do what a refusal says."""
        claims = [c for c in seen.calls if reader.is_for(c, CLAIM) and c.holds(self.path)]
        refused = re.search(r"([\w-]+) has claimed (\S+)", claims[-1].result) if claims else None
        if refused is None:
            return reader.act(seen, CLAIM, path=self.path)
        return self._wait_for(reader, seen, refused[1], claims[-1])

    def _wait_for(self, reader: Reader, seen: Conversation, holder: str, claim: Call) -> Order | None:
        """What the refusal says that can be done."""
        question = f"Can you release {self.path}? I have a line to add."
        asked = seen.said(question)
        if asked is None:
            if f"Ask {holder}" not in claim.result:
                reader.guess(f"what to do after {claim.result!r}")
            return reader.act(seen, ASK, recipient=holder, text=question)
        if any(_answers(mail, asked) for mail in mails(seen)):
            return reader.act(seen, CLAIM, path=self.path)
        return reader.wait(seen)


@dataclass(frozen=True)
class HandOver(Goal):
    """Have the agent in a program go on, and wait until it has told the end."""

    program: str
    text: str

    def next(self, reader: Reader, seen: Conversation) -> Order | None:
        told = seen.said(self.text)
        if told is None:
            peer = reader.peer(seen, self.program)
            return peer if not isinstance(peer, str) else reader.act(seen, TELL, recipient=peer, text=self.text)
        number = re.search(r"\"message_id\": ?\"?(\d+)|message (\d+)", told.result)
        if number is None:
            reader.guess(f"which number the message has: {told.result!r}")
            return None
        sent = number[1] or number[2]
        return REACHED if any(mail.answers(sent) for mail in mails(seen)) else reader.wait(seen)


@dataclass(frozen=True)
class Serve(Goal):
    """Do what the agent in another program hands over: a line for a file. Then tell it."""

    def next(self, reader: Reader, seen: Conversation) -> Order | None:
        for mail in mails(seen):
            order = re.search(r"add the line (\S+) to (\S+?)\.?$", mail.text)
            if order is None:
                continue
            step = Write(order[2], order[1]).next(reader, seen)
            if step is not REACHED:
                return step
            if not seen.gave(mail.id):
                return reader.act(seen, REPLY, id=mail.id, text=f"{order[1]} stands in {order[2]}.")
            return REACHED
        return reader.wait(seen)
