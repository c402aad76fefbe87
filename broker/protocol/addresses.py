"""Addresses: ``name@site`` is a name at another broker, a bare name is one here.

A site is 1 to 32 lowercase letters, digits or hyphens. With a dot behind the ``@`` it is an e-mail address and none of ours.
``*`` in place of the name stands for everyone there, ``*@*`` for everyone everywhere.
"""

from broker.protocol.names import is_name

SITE_LENGTH = 32
EVERY = "*"
EVERYWHERE = "*@*"
_SITE = frozenset("abcdefghijklmnopqrstuvwxyz0123456789-")


def is_site(value: object) -> bool:
    """True for 1 to 32 lowercase ASCII letters, digits or hyphens."""
    return isinstance(value, str) and 0 < len(value) <= SITE_LENGTH and _SITE.issuperset(value)


def parts(text: str) -> tuple[str, str] | None:
    """The name and the site of an address; None for anything else, such as an e-mail address."""
    name, at, site = text.partition("@")
    if not at or not (is_name(name) or name == EVERY):
        return None
    return (name, site) if is_site(site) or name == site == EVERY else None


def is_address(text: str) -> bool:
    return parts(text) is not None


def site_of(name: str) -> str:
    """The site in an address, empty for a bare name."""
    return name.partition("@")[2]


def is_email(text: str) -> bool:
    """True where the part behind the last ``@`` has a dot, which no site has."""
    return "." in text.rpartition("@")[2] and "@" in text
