"""``python docs/demo_picture.py``: run ``ipc demo`` and draw its output as docs/demo.svg."""

import html
import os
import pty
import re
import subprocess
import sys
from pathlib import Path

_COLOURS = {"32": "#7ee787", "36": "#79c0ff", "2": "#8b949e", "1": "#ffffff", "33": "#e3b341"}
_LINE_PX, _CHAR_PX = 20, 8.1


def terminal_output() -> str:
    """What the demo prints on a terminal, colours included."""
    main_fd, side_fd = pty.openpty()
    env = {**os.environ, "TERM": "xterm"}
    process = subprocess.Popen([sys.executable, "-m", "bridges.cli", "demo"], stdout=side_fd, env=env)
    os.close(side_fd)
    chunks = []
    while True:
        try:
            chunk = os.read(main_fd, 65536)
        except OSError:  # how Linux tells that the other side has closed
            break
        chunks.append(chunk)
    if process.wait() != 0:
        sys.exit("the demo failed")
    return b"".join(chunks).decode().replace("\r\n", "\n")


def draw(text: str) -> str:
    lines = ["\x1b[1m$ ipc demo\x1b[0m", *text.rstrip("\n").split("\n")]
    width = max(len(re.sub(r"\x1b\[\d+m", "", line)) for line in lines) * _CHAR_PX + 40
    rows = []
    for number, line in enumerate(lines):
        spans, colour = [], "#c9d1d9"
        for part in re.split(r"(\x1b\[\d+m)", line):
            code = re.fullmatch(r"\x1b\[(\d+)m", part)
            if code:
                colour = _COLOURS.get(code[1], "#c9d1d9")
            elif part:
                spans.append(f'<tspan fill="{colour}">{html.escape(part)}</tspan>')
        rows.append(f'<text x="20" y="{36 + number * _LINE_PX}" xml:space="preserve">{"".join(spans)}</text>')
    height = 36 + len(lines) * _LINE_PX
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:.0f}" height="{height}" font-family="ui-monospace, Menlo, '
        f'Consolas, monospace" font-size="13.5"><rect width="100%" height="100%" rx="8" fill="#0d1117"/>\n'
        + "\n".join(rows)
        + "\n</svg>\n"
    )


if __name__ == "__main__":
    Path(__file__).with_name("demo.svg").write_text(draw(terminal_output()), encoding="utf-8")
