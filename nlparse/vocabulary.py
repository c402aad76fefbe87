"""Every word the grammar knows, in one table. Another language, or a team's own verbs, is another table.

A phrase is written ``send (a) message|msg to``: words in order, ``(x)`` optional, ``a|b`` a choice, ``a_b`` two words
that stand for one choice. Section numbers are those of RULES.md beside this file.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields, replace

Phrases = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """The words by the part they play. ``extend`` adds to any part."""

    # 1: what may stand before and after a command
    openers: Phrases = (
        "please|pls|plz|kindly|just|also|quickly",
        "go ahead and",
        "can|could|would|will you",
        "i want|need|would_like you to",
        "i'd|i’d like you to",
    )
    greetings: Phrases = ("hey|hi|hello|ok|okay|yo",)
    closers: Phrases = ("right now", "for me", "real quick", "thank you", "please|pls|plz|thanks|now|again")
    # 2: who
    never_names: Phrases = tuple(
        [
            "me",
            "us",
            "you",
            "him",
            "her",
            "them",
            "it",
            "the",
            "a",
            "an",
            "my",
            "your",
            "our",
            "his",
            "their",
            "its",
            "this",
            "that",
            "these",
            "those",
            "someone",
            "somebody",
            "anyone",
            "anybody",
            "nobody",
            "everyone",
            "everybody",
            "is",
            "are",
            "was",
            "were",
            "be",
            "been",
            "am",
            "to",
            "of",
            "in",
            "on",
            "at",
            "for",
            "from",
            "with",
            "without",
            "and",
            "or",
            "not",
            "no",
            "yes",
            "but",
            "then",
            "if",
            "when",
            "while",
            "as",
            "by",
            "about",
            "into",
            "onto",
            "over",
            "under",
            "up",
            "down",
            "off",
            "out",
            "so",
            "than",
            "there",
            "here",
            "what",
            "which",
            "who",
            "whom",
            "whose",
            "why",
            "how",
            "all",
            "any",
            "some",
            "each",
            "every",
            "i",
            "we",
            "he",
            "she",
            "they",
            "will",
            "would",
            "can",
            "could",
            "should",
            "shall",
            "may",
            "might",
            "must",
            "do",
            "does",
            "did",
            "have",
            "has",
            "had",
            "myself",
            "yourself",
            "himself",
            "herself",
            "themselves",
            "ourselves",
        ]
    )
    joiners: Phrases = ("and", "&", "+")
    audiences: Phrases = (
        "everyone|everybody else",
        "everyone|everybody",
        "(the) (whole|entire) team",
        "all|every (the) agents|agent|instances|instance|ais|ai|sessions|session",
    )
    bare_all: Phrases = ("all",)
    # 3: send
    send_verbs: Phrases = ("msg", "dm", "tell", "ask", "notify", "inform", "alert", "warn", "remind")
    noun_verbs: Phrases = ("message", "text", "ping")
    """Nouns too: these always need a registered name."""
    asking: Phrases = ("ask",)
    send_to: Phrases = ("send (a) message|msg|note|dm|word to", "leave (a) message|note for")
    send_around: tuple[tuple[str, str], ...] = (
        ("let", "know"),
        ("send", "a message|msg|note|dm"),
        ("leave", "a message|note"),
        ("drop|shoot", "a line|note|message"),
        ("give", "a heads-up"),
        ("give", "a heads up"),
    )
    send_colon: Phrases = ("send (to)", "write (to)")
    """These need a colon or dash after the names."""
    not_short: Phrases = tuple(["test", "build", "docs", "ci", "fix", "feat", "chore", "perf", "refactor", "style", "revert"])
    introducers: Phrases = ("saying that", "saying", "that")
    deferring: Phrases = ("as soon as", "if|when|whenever|once|whether|after|before|until|unless")
    # 4: broadcast
    broadcast_verbs: Phrases = ("broadcast|announce (a) message|msg", "broadcast|announce")
    # 5: reply, forward, share
    reply_verbs: Phrases = ("reply|respond|answer (back)", "write back")
    bare_reply: Phrases = ("reply (back)",)
    reply_to: Phrases = ("(to) him|her|them|that|this|it", "(to) the last message")
    not_replies: Phrases = tuple(
        [
            "rate",
            "handler",
            "thread",
            "threads",
            "threading",
            "header",
            "headers",
            "button",
            "queue",
            "time",
            "count",
            "code",
            "logic",
            "path",
            "endpoint",
            "function",
        ]
    )
    forward_verbs: Phrases = (
        "forward|fwd|relay it|this|that to",
        "forward|fwd|relay the|this|that|my (last|latest) message|msg to",
        "forward|fwd to",
        "pass it|this|that on|along to",
    )
    share_verbs: Phrases = ("share|send|give|pass|hand",)
    share_any: Phrases = ("share",)
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
        "i'd|i’d like to be called|known_as",
        "call me|yourself",
        "my|your name is",
        "i'll|i’ll|i_will go by",
    )
    self_naming_closers: Phrases = ("from now on", "now")
    not_self_names: Phrases = tuple(
        ["back", "later", "tomorrow", "tonight", "soon", "maybe", "crazy", "asap", "anytime", "when", "if"]
    )
    whoami: Phrases = (
        "who am i",
        "whoami",
        "what's|what’s|what_is my name|id|handle",
        "what am i called",
        "what name am i using",
        "what am i registered as",
        "am i registered",
        "which instance am i",
    )
    # 7: check, list, autocheck, help
    check: Phrases = (
        "check|read|get|fetch|show|open|see|pull (me) (up) (for) (my|the|any|all) (my|the) (new|unread) "
        "messages|message|msgs|msg|inbox|mail|mailbox",
        "any|do_i_have|have_i_got|did_i_get|are_there|got (any) (new|unread) messages|msgs|mail (for_me) (waiting) (yet)",
        "any|do_i_have|have_i_got|did_i_get|are_there|got (any) (new|unread) messages|msgs|mail (waiting) (for_me) (yet)",
        "what messages do i have",
        "messages|msgs|inbox",
        "did anyone message|msg|write me",
    )
    list: Phrases = (
        "list|show (me) (all) (the) (active|online|connected|registered) instances|agents|ais|sessions",
        "who's|who’s|who_is online|connected|around|active|registered|here",
        "show (me) who's|who’s|who_is online|connected|active",
        "which|what ais|agents|instances are online|active|connected|registered",
    )
    is_name_online: tuple[tuple[str, str], ...] = (("is", "online|connected|around|active"),)
    auto_start: Phrases = (
        "start|enable|turn_on|begin auto_checking|auto_check|autocheck|autochecking|auto-check|auto-checking",
        "autocheck|auto-check|auto_check on",
        "turn autocheck|auto-check|auto_check|auto_checking|auto-checking on",
    )
    auto_start_messages: Phrases = (
        "start|enable|turn_on|begin auto_checking|auto_check|autocheck|autochecking|auto-check|auto-checking (my) "
        "(messages|inbox|mail)",
        "auto_check|autocheck|auto-check (my) (messages|inbox|mail)",
        "check|poll (for) (my) (new) messages|inbox|mail|msgs",
    )
    """These need an interval."""
    auto_stop: Phrases = (
        "stop|disable|turn_off|cancel|quit|end (the) auto_checking|auto_check|auto_checks|autocheck|autochecking|auto-check|"
        "auto-checking|auto-checks (messages)",
        "autocheck|auto-check|auto_check off",
        "turn autocheck|auto-check|auto_check|auto_checking|auto-checking off",
        "no more auto_checks|auto_check|auto_checking|autochecks|auto-checks|auto-checking",
    )
    auto_status: Phrases = (
        "is auto_checking|auto_check|autocheck|auto-check|auto-checking (turned) on|off|running|enabled|active",
        "auto_check|autocheck|auto-check|auto_checking|auto-checking status",
        "status of (the) auto_check|autocheck|auto-check|auto_checking|auto-checking",
        "how often are|do we|you|i auto_checking|auto_check|autocheck|auto-check|auto-checking",
        "when is the next auto_check|autocheck|auto-check",
        "when's|when’s the next auto_check|autocheck|auto-check",
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
    interval: Phrases = ("every|for", "with (a)", "at")
    number_words: tuple[tuple[str, int], ...] = (
        *zip(
            [
                "one",
                "two",
                "three",
                "four",
                "five",
                "six",
                "seven",
                "eight",
                "nine",
                "ten",
                "eleven",
                "twelve",
                "thirteen",
                "fourteen",
                "fifteen",
                "sixteen",
                "seventeen",
                "eighteen",
                "nineteen",
            ],
            range(1, 20),
            strict=True,
        ),
        ("twenty", 20),
        ("thirty", 30),
        ("forty", 40),
        ("fifty", 50),
        ("sixty", 60),
        ("a", 1),
        ("an", 1),
    )
    ordinary: Phrases = ()
    """Words that are no typing errors (section 8), beside those of ordinary.txt."""

    def extend(self, additions: Mapping[str, Iterable[object]]) -> "Vocabulary":
        """A vocabulary with more words or phrases. Raises ValueError for an unknown part or what is not text."""
        known = {f.name for f in fields(self)}
        changes = {}
        for part, words in additions.items():
            if part not in known:
                raise ValueError(f"unknown part of the vocabulary {part!r}; known: {', '.join(sorted(known))}")
            if isinstance(words, str) or not all(
                isinstance(w, type(getattr(self, part)[0] if getattr(self, part) else "")) for w in words
            ):
                raise ValueError(f"{part} takes a list of phrases")
            changes[part] = (*getattr(self, part), *words)
        return replace(self, **changes)
