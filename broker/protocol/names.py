"""Names of instances: the rule, and those that nobody can take.

Without the module ``re``, whose import costs a quick program 8 ms.
"""

SYSTEM = "system"
"""Sender of notices. Nobody can register it, so a notice can't be forged."""

BROADCAST = "all"
"""What a large message's file name says in place of a recipient when it went to everyone."""

RESERVED = frozenset({SYSTEM, BROADCAST, "everyone", "everybody"})
"""Names that nobody can take, however they are capitalised: they stand for the service, or in plain words for everyone."""

WEBHOOK = "webhook-"
"""How the names of webhooks' sources begin as senders. Nobody can take one, so no agent can pass for a webhook."""

NAME_LENGTH = 32


def is_name(value: object) -> bool:
    """True for 1 to 32 ASCII letters, digits, hyphens or underscores."""
    return (
        isinstance(value, str)
        and 0 < len(value) <= NAME_LENGTH
        and value.isascii()
        and f"a{value}".replace("-", "").replace("_", "").isalnum()
    )


def is_reserved(name: str) -> bool:
    """True for a name that nobody can take."""
    return name.lower() in RESERVED or is_webhook(name)


def is_webhook(name: str) -> bool:
    """True for what only mail that came in by a webhook has as its sender."""
    return name.lower().startswith(WEBHOOK)
