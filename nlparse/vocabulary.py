"""Every word the grammar knows, in one table. Another language, or a team's own verbs, is another table.

A phrase is written ``send (a) message|msg to``: words in order, ``(x)`` optional, ``a|b`` a choice, ``a_b`` two words that
stand for one choice. ``NAMES`` is where recipients stand. Section numbers are those of RULES.md beside this file.
"""

import pkgutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields, replace
from functools import lru_cache

Phrases = tuple[str, ...]

_TELL_ME = "tell_me|let_me_know|notify_me|inform_me when|once|as_soon_as"
_AUTO_CHECK = "auto_checking|auto_check|auto_checks|autocheck|autochecking|autochecks|auto-check|auto-checking|auto-checks"


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """The phrases by the part they play. ``extend`` adds to any part."""

    # 1: what may stand before and after a command
    openers: Phrases = (
        "please|pls|plz|kindly|just|also|quickly",
        "go ahead and",
        "can|could|would|will you|u",
        "i want|need|would_like you to",
        "i'd like you to",
        "so|um|uh|well|alright",
    )
    greetings: Phrases = ("hey|hi|hello|ok|okay|yo",)
    greeted: Phrases = ("there|all|team|everyone|everybody|folks|guys",)
    """Whom a greeting may name, with a comma after, besides any name."""
    closers: Phrases = ("right now", "for me", "real quick", "thank you", "please|pls|plz|thanks|thx|ty|now|rn|again")
    # 2: who
    never_names: Phrases = (
        "me|us|you|him|her|them|it|the|a|an|my|your|our|his|their|its|this|that|these|those",
        "someone|somebody|anyone|anybody|nobody|everyone|everybody|all|any|some|each|every|team",
        "is|are|was|were|be|been|am|will|would|can|could|should|shall|may|might|must|do|does|did|have|has|had",
        "to|of|in|on|at|for|from|with|without|and|or|not|no|yes|but|then|if|when|while|as|by|about|into|onto|over",
        "under|up|down|off|out|so|than|there|here|what|which|who|whom|whose|why|how",
        "i|we|he|she|they|myself|yourself|himself|herself|themselves|ourselves",
    )
    """No names unless registered exactly so."""
    work_words: Phrases = (
        "body|format|type|id|queue|handler|parser|header|headers|field|fields|level|threshold|rule|rules|subject|users",
        "subscribers|code|story|question|questions|json|yaml|xml|http|html|sql|note|notes|dm|word|msg|message|messages|text",
        "mail|email|e-mail|emails|slack|discord|teams|telegram|whatsapp|sms|disk|file|files|stdout|stderr|stdin|log|logs",
        "database|db|cache|socket|report|reports|summary|readme|script|function|class|module|comment|comments|review|thread",
        "ticket|issue|issues|customer|customers|patch|data|request|requests|response|responses|tests|channel|manager|endpoint",
        "application|hook|flag|config|settings|dialog|banner|icon|sound|page|price|level|list|table|event|events|error|errors|color|size",
    )
    """After ``write``, ``send`` and ``reply to`` these are things of other work; mail goes to them only if registered."""
    joiners: Phrases = ("and", "&", "+")
    audiences: Phrases = (
        "everyone|everybody (else)",
        "(the) (whole|entire) team",
        "all|every (the) agents|agent|instances|instance|ais|ai|sessions|session",
        "@all|@everyone",
    )
    bare_all: Phrases = ("all",)
    narrowing: Phrases = ("except|excluding|besides", "other than", "apart from")
    whose: Phrases = ("who|whose",)
    """After an audience without punctuation these mean fewer people; after ``@all`` those of ``whose`` ask."""
    team_people: Phrases = ("lead|leads|leader|leaders|member|members|captain|mate|mates",)
    """``the team lead`` is not the team."""
    # 3: send
    send_verbs: Phrases = ("msg", "dm", "tell", "ask", "inform", "warn", "remind")
    noun_verbs: Phrases = ("message", "text", "ping", "alert", "notify")
    """Nouns and code, too: these always need a registered name."""
    asking: Phrases = ("ask",)
    """After these a condition is a question and no job for later."""
    send_to: Phrases = ("send (a) message|msg|note|dm|word to", "leave a message|note for")
    send_around: Phrases = (
        "let NAMES know",
        "send NAMES a message|msg|note|dm",
        "leave NAMES a message|note",
        "drop|shoot NAMES a line|note|message",
        "give NAMES a heads-up",
        "give NAMES a heads up",
    )
    send_colon: Phrases = ("send (to)",)
    noun_colon: Phrases = ("write (to)",)
    """These need a colon after the names, those of ``noun_colon`` a registered name, too."""
    say: Phrases = ("say",)
    send_quoted: Phrases = ("send",)
    towards: Phrases = ("to",)
    send_text: Phrases = ("send",)
    """Before a text without quotes: asked back, since ``send the report to fred`` may be a job."""
    not_short: Phrases = ("test|build|docs|ci|fix|feat|chore|perf|refactor|style|revert",)
    introducers: Phrases = ("saying that", "saying", "that")
    deferring: Phrases = ("as soon as", "if|when|whenever|once|whether|after|before|until|unless")
    # 4: broadcast
    broadcast_verbs: Phrases = ("broadcast|announce (a) message|msg", "broadcast|announce")
    # 5: reply, forward, share
    reply_verbs: Phrases = ("reply|respond|answer (back)", "write back")
    bare_reply: Phrases = ("reply (back)",)
    reply_to: Phrases = ("(to) him|her|them|that|this|it", "(to) the last message")
    reply_with: Phrases = ("with",)
    not_replies: Phrases = (
        "rate|handler|thread|threads|threading|header|headers|button|queue|time|count|code|logic|path|endpoint|function",
        "is|was|were|has|had|from|of|with|to|back|him|them",
    )
    """A bare ``reply`` before these is no command."""
    not_answers: Phrases = ("question|questions|email|mail|message|comment|thread|ticket|call|issue|one|phone",)
    """``answer that question`` is no reply."""
    forward_verbs: Phrases = (
        "forward|fwd|relay it|this|that to",
        "forward|fwd|relay the|this|that|my (last|latest) message|msg to",
        "forward|fwd to",
        "pass it|this|that on|along to",
    )
    share_verbs: Phrases = ("share|send|give|pass|hand",)
    share_any: Phrases = ("share",)
    """These take names that are not registered."""
    the_file: Phrases = ("(the) file (at)",)
    the_path: Phrases = ("the (at)", "at")
    share_with: Phrases = ("with|to",)
    # 6: names of one's own
    register: Phrases = (
        "register|sign_in|sign_on|log_in|join (me|myself|yourself|this_instance|this_session|this_agent) "
        "as|under_the_name|with_the_name|named|called",
    )
    register_bare: Phrases = ("register",)
    rename: Phrases = (
        "rename (me|myself|yourself|this_instance|this_session) to",
        "change|switch|update|set my name|id|handle|nick|nickname to",
    )
    rename_old: Phrases = ("rename",)
    self_naming: Phrases = (
        "i want|would_like to be called|known_as",
        "i'd like to be called|known_as",
        "call me|yourself",
        "my|your name is",
        "i'll|i_will go by",
    )
    self_naming_closers: Phrases = ("from now on",)
    not_self_names: Phrases = (
        "back|later|tomorrow|tonight|soon|maybe|crazy|asap|anytime|when|if|today|first",
        "monday|tuesday|wednesday|thursday|friday|saturday|sunday",
    )
    not_registered: Phrases = ("instance|agent|session|instances|agents|sessions|name",)
    """``register instance`` names no one."""
    whoami: Phrases = (
        "who am i",
        "whoami",
        "what's|what_is my name|id|handle",
        "what am i called",
        "what name am i using",
        "what am i registered as",
        "am i registered",
        "which instance am i",
    )
    # 7: check, list, autocheck, help
    check: Phrases = (
        "check|read|get|fetch|show|open|see|pull (me) (up) (for) (my|the|any|all) (my|the) (new|unread) "
        "messages|msgs|inbox|mail|mailbox",
        "(any|do_i_have|have_i_got|did_i_get|are_there|got) (any) (new|unread) messages|msgs|mail (for_me) (waiting) (yet)",
        "(any|do_i_have|have_i_got|did_i_get|are_there|got) (any) (new|unread) messages|msgs|mail waiting for_me (yet)",
        "what messages do i have",
        "inbox",
        "did anyone message|msg|write me",
    )
    list: Phrases = (
        "list|show (me) (all) (the) (active|online|connected|registered) instances|agents|ais|sessions",
        "who's|who_is online|connected|around|active|registered|here",
        "show (me) who's|who_is online|connected|active",
        "which|what ais|agents|instances are online|active|connected|registered",
    )
    watch_idle: Phrases = (
        f"{_TELL_ME} NAMES is idle|done|free|finished",
        f"{_TELL_ME} NAMES has finished|stopped",
        f"{_TELL_ME} NAMES finishes|stops",
    )
    watch_ended: Phrases = (
        f"{_TELL_ME} NAMES is gone|offline",
        f"{_TELL_ME} NAMES has ended|left|exited|quit",
        f"{_TELL_ME} NAMES ends|leaves|exits|quits",
    )
    watch_failed: Phrases = (f"{_TELL_ME} NAMES fails|crashes", f"{_TELL_ME} NAMES has failed|crashed")
    watch_stuck: Phrases = (f"{_TELL_ME} NAMES is|gets stuck", f"{_TELL_ME} NAMES hangs|stalls")
    watch_joins: Phrases = (
        f"{_TELL_ME} NAMES is online|here|back|around",
        f"{_TELL_ME} NAMES joins|registers|comes_online|returns",
    )
    is_online: Phrases = ("is NAMES online|connected|around|active",)
    auto_start: Phrases = (
        f"start|enable|turn_on|begin (the) {_AUTO_CHECK} (my) (messages|inbox|mail)",
        f"{_AUTO_CHECK} on",
        f"turn (the) {_AUTO_CHECK} on",
    )
    auto_start_every: Phrases = (
        "auto_check|autocheck|auto-check (my) (messages|inbox|mail)",
        "check|poll (for) (my) (new) messages|msgs|inbox|mail",
    )
    """These need an interval with ``every``, ``for`` or ``with``."""
    auto_stop: Phrases = (
        f"stop|disable|turn_off|cancel|quit|end (the) {_AUTO_CHECK} (my) (messages|inbox|mail)",
        f"{_AUTO_CHECK} off",
        f"turn (the) {_AUTO_CHECK} off",
        f"no more {_AUTO_CHECK}",
    )
    auto_status: Phrases = (
        f"is (the) {_AUTO_CHECK} (turned) on|off|running|enabled|active",
        f"{_AUTO_CHECK} status",
        f"status of (the) {_AUTO_CHECK}",
        f"how often are|do we|you|i {_AUTO_CHECK}",
        f"when's|when_is the next {_AUTO_CHECK}",
    )
    interval: Phrases = ("every|for", "with (a|an)")
    half_hours: Phrases = ("half (an) hour",)
    hours: Phrases = ("(an) hour",)
    hours_after_number: Phrases = ("hour|hours",)
    minutes: Phrases = ("minute|minutes|min|mins|m",)
    interval_nouns: Phrases = ("interval|intervals",)
    one_minute: Phrases = ("minute",)
    numbers: Phrases = (
        "one=1|two=2|three=3|four=4|five=5|six=6|seven=7|eight=8|nine=9|ten=10|eleven=11|twelve=12|thirteen=13|fourteen=14",
        "fifteen=15|sixteen=16|seventeen=17|eighteen=18|nineteen=19|twenty=20|thirty=30|forty=40|fifty=50|sixty=60",
    )
    help: Phrases = (
        "help",
        "ipc help",
        "help with messages|messaging|ipc",
        "what can i say|type",
        "what commands are there",
        "what commands can i use",
        "what commands do you know",
        "show|list (me) (the|all) (the) commands",
        "how do i send|check|read (a|my) message|messages",
    )
    # 8: words that are no typing errors, beside those of ordinary.txt
    ordinary: Phrases = ()

    def extend(self, additions: Mapping[str, Iterable[str]]) -> "Vocabulary":
        """A vocabulary with more phrases, such as ``{"send_verbs": ["holler at"]}``. Raises ValueError for a part it does not
        know and for what is no list of phrases."""
        known = [f.name for f in fields(self)]
        changes = {}
        for part, phrases in additions.items():
            if part not in known:
                raise ValueError(f"unknown part of the vocabulary {part!r}; known: {', '.join(sorted(known))}")
            if isinstance(phrases, str) or not isinstance(phrases, Iterable):
                raise ValueError(f"{part} takes a list of phrases")
            added = tuple(phrases)
            for phrase in added:
                _check(part, phrase)
            changes[part] = (*getattr(self, part), *(phrase.strip() for phrase in added))
        return replace(self, **changes)


def _check(part: str, phrase: object) -> None:
    """Raise ValueError if a phrase cannot play a part."""
    if not isinstance(phrase, str) or not phrase.strip("|_() \t\n"):
        raise ValueError(f"{part} takes a list of phrases, not {phrase!r}")
    halves = phrase.split("NAMES")
    if part in AROUND and (len(halves) != 2 or not all(half.strip() for half in halves)):
        raise ValueError(f"{part} takes phrases with words before and after NAMES, not {phrase!r}")
    if part == "numbers" and not all(n.partition("=")[2].isdecimal() for n in phrase.split("|")):
        raise ValueError(f"numbers takes words such as seventy=70, not {phrase!r}")


WATCHED = {f"watch_{event}": event for event in ("idle", "ended", "failed", "stuck", "joins")}
"""The part of each event that one may be told of."""
AROUND = ("send_around", "is_online", *WATCHED)
_NO_COMMANDS = (
    "greeted never_names work_words joiners narrowing whose team_people not_short introducers deferring "
    "not_replies not_answers not_self_names not_registered numbers ordinary audiences bare_all"
)
NO_COMMAND_WORDS = frozenset(_NO_COMMANDS.split())
"""The parts whose words are not looked for among misspelt ones."""


@lru_cache(maxsize=1)
def ordinary_words() -> frozenset[str]:
    """English words near a command word, from ordinary.txt."""
    return frozenset((pkgutil.get_data("nlparse", "ordinary.txt") or b"").decode().split())
