"""``parse``: the readers of the intents one after the other, and the question where a send was likely meant.

A text is read exactly, then with misspelt politeness, then with misspelt command words, so that the exact reading of any
intent comes before the misspelt one of another (RULES.md §8). In each reading the first reader that knows the text wins.
A reader that knows only half of a text says nothing. What no reader knows is ``Unknown``.
"""

from collections.abc import Callable, Iterable
from dataclasses import replace

from nlparse import commands as c
from nlparse.audience import read_broadcast
from nlparse.autocheck import read_autocheck
from nlparse.bare_commands import read_bare
from nlparse.grammar import Grammar, grammar_of
from nlparse.names import MOST_CANDIDATES, Directory
from nlparse.naming import read_register, read_rename, read_self_naming
from nlparse.reading import Reading
from nlparse.reply import read_forward, read_reply
from nlparse.send import read_send, read_short, read_text_first
from nlparse.share import read_share
from nlparse.tokens import tokenize
from nlparse.vocabulary import Vocabulary

Reader = Callable[[Reading], c.Command | None]

READERS: tuple[Reader, ...] = (
    read_self_naming,
    read_bare,
    read_autocheck,
    read_register,
    read_rename,
    read_forward,
    read_share,
    read_reply,
    read_broadcast,
    read_send,
    read_text_first,
)

DEFAULT = Vocabulary()
_DEFAULT_GRAMMAR = Grammar(DEFAULT)


def parse(
    text: str,
    *,
    me: str | None = None,
    known: Iterable[str] = (),
    last_from: str | None = None,
    vocabulary: Vocabulary = DEFAULT,
) -> c.Command:
    """The command that a text is, or ``Unknown``; never raises for any text.

    ``me`` is the caller's name, ``known`` the registered names, ``last_from`` who wrote to the caller last. When in doubt the
    answer is Unknown; where a send was likely meant, its ``question`` says what to ask back.
    """
    grammar = _DEFAULT_GRAMMAR if vocabulary is DEFAULT else grammar_of(vocabulary)
    directory = Directory(known, grammar)
    body = text.strip()
    r = Reading(body, tokenize(body), me, directory, last_from, grammar)
    if r.begin >= len(r.tokens):
        return c.Unknown(confidence=0.0)
    command = _exactly(r)
    if command is None:
        command = _misspelt(r)
    shift = len(text) - len(text.lstrip())
    if command is not None and _has_strange_address(command, directory):
        r.asks, command = command, None
    if command is not None:
        return _shifted(command, shift)
    if r.asks is not None:
        return c.Unknown(confidence=0.4, question=_question(_shifted(r.asks, shift), directory))
    if r.lacks:
        names = " and ".join(name.text for name in r.lacks)
        return c.Unknown(confidence=0.4, question=c.Question(text=f"Tell {names} what?"))
    return c.Unknown(confidence=0.0)


def _has_strange_address(command: c.Command, directory: Directory) -> bool:
    """``user@host`` stands for much else in code, so that an address which nobody is known by is asked about (RULES.md §2)."""
    to = command.to if isinstance(command, (c.Send, c.Forward, c.ShareFile)) else ()
    return any("@" in name and not directory.registered(name) for name in to)


def _misspelt(r: Reading) -> c.Command | None:
    """Politeness first, so that a command after it is still read exactly; a word taken for it may be a command's after all."""
    begin = r.begin
    command = _exactly(r) if r.forgive_politeness() else None
    if command is not None:
        return command
    r.forgive_commands()
    command = _by_verb(r)
    if command is None and r.begin != begin:
        r.begin = begin
        command = _by_verb(r)
    return command


def _exactly(r: Reading) -> c.Command | None:
    """Short forms have no verb, so nothing of them can be misspelt."""
    return read_short(r) or _by_verb(r)


def _by_verb(r: Reading) -> c.Command | None:
    if not r.may_begin():
        return None
    for reader in READERS:
        command = reader(r)
        if command is not None:
            return command
    return None


def _shifted(command: c.Command, by: int) -> c.Command:
    """The command with spans in the text as given, blanks before it included."""
    if not by:
        return command
    return replace(command, spans={slot: (start + by, end + by) for slot, (start, end) in command.spans.items()})


def _question(would_be: c.Command, directory: Directory) -> c.Question:
    if isinstance(would_be, c.Broadcast):
        return c.Question(text="Send this to everyone?", would_be=would_be)
    to = would_be.slots()["to"]
    strangers = [name for name in to if not directory.exact(name)]
    if not strangers:
        return c.Question(text=f"Send this to {' and '.join(to)}?", would_be=would_be)
    verb = "isn't" if len(strangers) == 1 else "aren't"
    candidates = dict.fromkeys(name for stranger in strangers[:MOST_CANDIDATES] for name in directory.nearest(stranger))
    return c.Question(
        text=f"{' and '.join(strangers)} {verb} registered. Send anyway?", would_be=would_be, candidates=tuple(candidates)
    )
