"""``python docs/concept_pictures.py`` draws the pictures of docs/concepts.md. They follow light and dark."""

import html
import math
from pathlib import Path

FOLDER = Path(__file__).with_name("pictures")
Point = tuple[float, float]
_STYLE = """\
<style>
.picture { --ink: #1f2328; --soft: #57606a; --line: #8c959f; --fill: #f6f8fa; --mark: #3949ab; --bad: #b3261e; --paper: #fff;
  font: 15px system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; max-width: 100%; height: auto }
@media (prefers-color-scheme: dark) { .picture { --ink: #e6edf3; --soft: #a2abb5; --line: #7d8590; --fill: #262c36;
  --mark: #9fa8f5; --bad: #ff8a80; --paper: #15181e } }
.picture .paper { fill: var(--paper) } .picture .ink { fill: var(--ink) } .picture .soft { fill: var(--soft); font-size: 13px }
.picture .name { fill: var(--ink); font-weight: 600 } .picture .mark { fill: var(--mark) } .picture .bad { fill: var(--bad) }
.picture .box { fill: var(--fill); stroke: var(--line) } .picture .main { stroke: var(--mark); stroke-width: 2 }
.picture .area { fill: none; stroke: var(--line); stroke-dasharray: 6 5 }
.picture .way { fill: none; stroke: var(--line); stroke-width: 1.5 }
.picture .way.main { stroke: var(--mark); stroke-width: 2 } .picture .way.bad { stroke: var(--bad); stroke-dasharray: 4 4 }
.picture .head { fill: var(--line) } .picture .head.main { fill: var(--mark) } .picture .head.bad { fill: var(--bad) }
</style>"""


class Picture:
    def __init__(self, title: str, width: int, height: int) -> None:
        self._title, self._width, self._height = title, width, height
        self._parts: list[str] = []

    def text(self, x: float, y: float, words: str, kind: str = "ink", anchor: str = "middle") -> None:
        self._parts.append(f'<text x="{x:g}" y="{y:g}" class="{kind}" text-anchor="{anchor}">{html.escape(words)}</text>')

    def box(self, x: float, y: float, width: float, height: float, *lines: str, kind: str = "") -> None:
        """A box around its name, and lines about it."""
        self._parts.append(f'<rect x="{x:g}" y="{y:g}" width="{width:g}" height="{height:g}" rx="8" class="box {kind}"/>')
        top = y + height / 2 + 5 - (len(lines) - 1) * 9.5
        for number, line in enumerate(lines):
            self.text(x + width / 2, top + number * 19, line, "soft" if number else "name")

    def area(self, x: float, y: float, width: float, height: float, words: str) -> None:
        self._parts.append(f'<rect x="{x:g}" y="{y:g}" width="{width:g}" height="{height:g}" rx="12" class="area"/>')
        self.text(x + 16, y + 24, words, "soft", "start")

    def line(self, *points: Point, kind: str = "") -> None:
        self._parts.append(f'<polyline points="{" ".join(f"{x:g},{y:g}" for x, y in points)}" class="way {kind}"/>')

    def arrow(self, *points: Point, kind: str = "") -> None:
        (x0, y0), (x1, y1) = points[-2:]
        angle = math.atan2(y1 - y0, x1 - x0)
        back = (x1 - 9 * math.cos(angle), y1 - 9 * math.sin(angle))
        self.line(*points[:-1], back, kind=kind)
        side = (5 * math.sin(angle), 5 * math.cos(angle))
        corners = ((x1, y1), (back[0] - side[0], back[1] + side[1]), (back[0] + side[0], back[1] - side[1]))
        self._parts.append(f'<polygon points="{" ".join(f"{x:.1f},{y:.1f}" for x, y in corners)}" class="head {kind}"/>')

    def svg(self) -> str:
        size = f'viewBox="0 0 {self._width} {self._height}" width="{self._width}" height="{self._height}"'
        head = f'<svg xmlns="http://www.w3.org/2000/svg" {size} class="picture" role="img">'
        paper = '<rect width="100%" height="100%" rx="12" class="paper"/>'
        return "\n".join((head, f"<title>{html.escape(self._title)}</title>", _STYLE, paper, *self._parts, "</svg>\n"))


def life_of_a_message() -> Picture:
    p = Picture(
        "A message is stored, pushed, in its reader's context, and answered; or it ends unread and its sender is told", 760, 350
    )
    steps = (
        ("stored", "it is on disk"),
        ("pushed", "notice was given"),
        ("in context", "its reader has it"),
        ("answered", "there is a reply"),
    )
    for number, (name, about) in enumerate(steps):
        p.box(20 + number * 194, 60, 138, 66, name, about, kind="main")
    for number, words in enumerate(("hand-out", "evidence", "reply")):
        x = 158 + number * 194
        p.arrow((x, 93), (x + 56, 93), kind="main")
        p.text(x + 28, 50, words, "soft")
    p.text(20, 30, "send is answered ok", "soft", "start")
    p.arrow((283, 126), (283, 160), (89, 160), (89, 126))
    p.text(186, 178, "comes back: redelivered", "soft")
    p.box(20, 238, 332, 92, "ended unread", "expired: 7 days · refused: by its reader", "dead: handed out 20 times in vain")
    p.arrow((60, 126), (60, 238), kind="bad")
    p.text(70, 215, "kept 30 days as a dead letter, its sender is told", "bad", "start")
    p.box(520, 238, 220, 66, "withdrawn", "its sender took it back")
    p.arrow((330, 126), (330, 196), (630, 196), (630, 238), kind="bad")
    p.text(640, 220, "while unread", "soft", "start")
    return p


def lease() -> Picture:
    p = Picture("A reader that dies gets its mail again: it is on lease until it is acknowledged", 760, 470)
    sender, broker, reader = 110, 380, 650
    for x, name in ((sender, "sender"), (broker, "broker"), (reader, "reader")):
        p.line((x, 62), (x, 450))
        p.box(x - 60, 22, 120, 40, name, kind="main")
    steps = (
        (sender, broker, "send: hello", 92),
        (broker, sender, "ok", 152),
        (reader, broker, "check", 182),
        (broker, reader, "hello, on lease for 30 s", 214),
        (reader, broker, "check", 322),
        (broker, reader, "hello, redelivered", 354),
        (reader, broker, "ack", 386),
    )
    for start, end, words, y in steps:
        p.arrow((start, y), (end, y), kind="main")
        p.text((start + end) / 2, y - 7, words)
    for x, y, words in ((broker, 106, "on disk"), (broker, 266, "back at once"), (broker, 400, "read: never again")):
        p.box(x - 80, y, 160, 32, words)
    p.box(reader - 90, 234, 180, 32, "killed", kind="main")
    p.arrow((reader - 90, 258), (broker + 80, 278), kind="bad")
    p.text(reader, 296, "and started again", "soft")
    return p


def names() -> Picture:
    p = Picture("A name leads to a mailbox; one session acts for it; a body is what holds the session", 760, 330)
    p.area(20, 20, 230, 290, "names")
    p.box(36, 62, 198, 50, "ann", kind="main")
    p.box(36, 132, 198, 62, "anna", "old: forwards for 2 hours")
    p.box(36, 222, 198, 62, "devs", "a group: to all its members")
    p.box(300, 70, 170, 118, "mailbox", "mail waits here,", "also while nobody", "has the name", kind="main")
    p.arrow((234, 87), (300, 112), kind="main")
    p.arrow((234, 163), (300, 140))
    p.arrow((234, 253), (385, 253), (385, 188))
    p.text(258, 276, "and to other mailboxes", "soft", "start")
    p.box(520, 74, 110, 62, "session", "one token", kind="main")
    p.arrow((520, 105), (470, 118), kind="main")
    p.text(632, 62, "acts as ann, and as nobody else", "soft")
    p.area(500, 170, 240, 140, "body: whoever holds it")
    for number, words in enumerate(("a terminal", "a session of Claude Code", "a program or script")):
        p.text(620, 222 + number * 30, words)
    p.arrow((575, 170), (575, 136))
    return p


def who_reads() -> Picture:
    p = Picture("Mail between two agents is read by these two and by the owner of the data folder", 760, 400)
    p.area(20, 20, 520, 360, "your OS user: one data folder, mode 0700")
    p.box(40, 66, 130, 56, "ann", "wrote it", kind="main")
    p.box(210, 66, 140, 56, "bob's mailbox", "ipc.db", kind="main")
    p.box(390, 66, 130, 56, "bob", "reads it", kind="main")
    p.arrow((170, 94), (210, 94), kind="main")
    p.arrow((350, 94), (390, 94), kind="main")
    p.box(40, 190, 130, 56, "carl", "another agent")
    p.arrow((130, 190), (222, 122), kind="bad")
    p.text(196, 168, "can't read it", "bad", "start")
    p.box(
        210,
        262,
        310,
        82,
        "you, with owner.key",
        "the page, the terminal view, the export:",
        "all mail, and nothing counts as read by it",
        kind="main",
    )
    p.arrow((320, 262), (320, 122), kind="main")
    p.box(580, 66, 160, 56, "another OS user", "of this machine")
    p.arrow((580, 94), (540, 94), kind="bad")
    p.text(660, 142, "refused", "bad")
    p.box(580, 180, 160, 56, "another machine", "with a key: bob's")
    p.arrow((580, 196), (455, 168), (455, 122), kind="main")
    p.text(660, 256, "reads as bob alone", "soft")
    p.box(580, 290, 160, 72, "a nats-server", "sees who writes", "to whom, no text")
    return p


def processes() -> Picture:
    p = Picture("Clients and doors around one broker, which alone has the database", 760, 430)
    clients = (
        ("shell, hooks", "commands: ipc"),
        ("Python", "import broker"),
        ("scripts", "JSON over TCP"),
        ("agents", "MCP tools"),
        ("far agents", "with a key"),
        ("other sites", "their brokers"),
    )
    for number, lines in enumerate(clients):
        p.box(20 + number * 122, 20, 110, 56, *lines)
    p.area(6, 112, 748, 300, "")
    for number, name in enumerate(("TCP door", "MCP door", "key door", "sites' door"), 2):
        x = 20 + number * 122
        p.box(x, 150, 110, 46, name)
        p.arrow((x + 55, 76), (x + 55, 150))
        p.arrow((x + 55, 196), (x + 55, 252), kind="main")
    for x in (75, 197):
        p.arrow((x, 76), (x, 252), kind="main")
    p.text(86, 178, "Unix socket", "soft", "start")
    p.box(20, 252, 720, 46, "broker: the rules, and whose turn it is", kind="main")
    p.box(20, 334, 350, 40, "ipc.db", kind="main")
    p.box(390, 334, 350, 40, "large-messages/")
    p.arrow((195, 298), (195, 334), kind="main")
    p.arrow((565, 298), (565, 334))
    p.text(380, 398, "the service: a supervisor starts it, and starts again what dies or hangs", "soft")
    return p


PICTURES = {
    "life-of-a-message": life_of_a_message,
    "lease": lease,
    "names": names,
    "who-reads": who_reads,
    "processes": processes,
}

if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    for name, drawn in PICTURES.items():
        (FOLDER / f"{name}.svg").write_text(drawn().svg(), encoding="utf-8")
