"""Drivers of systems that do not do what they say, and of one that is not there: a mailbox is a file in the home."""

from bench.peers.driver import Command, Driver

_READ = 'cat "$HOME/$0.mail" 2>/dev/null; rm -f "$HOME/$0.mail"'


class Honest(Driver):
    title = "honest"
    program = "sh"
    written = 'echo "$1" >> "$HOME/$0.mail"'
    """What each send runs, with the recipient as $0 and the text as $1."""

    def send(self, sender: str, to: str, text: str, message_id: str = "") -> Command:
        return Command(("sh", "-c", self.written, to, text))

    def take(self, name: str) -> Command:
        return Command(("sh", "-c", _READ, name))


class Drops(Honest):
    title = "drops each third"
    written = 'case "$1" in *[369]) ;; *) echo "$1" >> "$HOME/$0.mail";; esac'


class Doubles(Honest):
    title = "doubles each third"
    written = 'echo "$1" >> "$HOME/$0.mail"; case "$1" in *[369]) echo "$1" >> "$HOME/$0.mail";; esac'


class Refuses(Honest):
    title = "refuses each third"
    written = 'case "$1" in *[369]) echo "no room for $0" >&2; exit 1;; esac; echo "$1" >> "$HOME/$0.mail"'


class Forgets(Honest):
    """Mail is gone as soon as somebody begins to read it."""

    title = "forgets"

    def take(self, name: str) -> Command:
        return Command(("sh", "-c", 'text=$(cat "$HOME/$0.mail" 2>/dev/null); rm -f "$HOME/$0.mail"; echo "$text"', name))


class Lingers(Honest):
    """A send leaves a process behind that listens to nobody."""

    title = "lingers"
    written = 'echo "$1" >> "$HOME/$0.mail"; trap "" TERM HUP; sleep 3600 >/dev/null 2>&1 &'
