"""The pages of the answers listener: a thing that is asked, with what may be answered, and what became of an answer.

No script, nothing from elsewhere; the one style is allowed by its hash. Text of others is made visible, then escaped.
"""

import base64
import hashlib
from collections.abc import Sequence
from html import escape

from starlette.responses import HTMLResponse

from bridges.fence import one_line, visible

_STYLE = """
:root{color-scheme:light dark}
body{font:1.05rem/1.5 system-ui,sans-serif;max-width:40rem;margin:0 auto;padding:1rem}
pre{white-space:pre-wrap;overflow-wrap:anywhere;border:1px solid;border-radius:.4rem;padding:.8rem;font:inherit}
pre.code{font:.95rem/1.45 ui-monospace,monospace}
button,textarea{font:inherit;box-sizing:border-box;width:100%;padding:.7rem;margin:.3rem 0;border:1px solid;border-radius:.4rem}
button{min-height:3rem;font-weight:600;white-space:pre-wrap;overflow-wrap:anywhere}
h1{font-size:1.3rem}
"""
_STYLE_HASH = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
HEADERS = {
    "Content-Security-Policy": (
        f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
    "X-Robots-Tag": "noindex, nofollow",
}
_BUTTON = '<button name="{name}" value="{value}">{label}</button>'


def question_page(sender: str, text: str, buttons: Sequence[str]) -> HTMLResponse:
    """Who asks what, a button for each proposed answer, and room for another."""
    rows = [_BUTTON.format(name="button", value=n, label=_label(one)) for n, one in enumerate(buttons)]
    form = f'<form method="post">{"".join(rows)}</form>' if rows else ""
    words = "Another answer" if rows else "Your answer"
    field = f'<label for="answer">{words}</label><textarea id="answer" name="answer" rows="4" required></textarea>'
    free = f'<form method="post">{field}<button>Send this answer</button></form>'
    return page(f"{one_line(sender)} asks you", f"<pre>{_text(text)}</pre>{form}{free}")


def permission_page(name: str, host: str, tool: str, shown: str) -> HTMLResponse:
    """The tool call, exactly as the host gave it."""
    what = f"<p>{_label(host)} wants to run <strong>{_label(tool)}</strong> for {_label(name)}:</p>"
    rows = [_BUTTON.format(name="decision", value=v, label=w) for v, w in (("allow", "Allow it once"), ("deny", "Deny it"))]
    form = f'<form method="post">{"".join(rows)}</form>'
    return page(f"May {one_line(name)} do this?", f'{what}<pre class="code">{_text(shown)}</pre>{form}')


def page(title: str, inside: str = "", status: int = 200, retry_after_s: float = 0.0) -> HTMLResponse:
    """A page of a title and what is HTML already."""
    html = (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{_STYLE}</style></head>"
        f"<body><main><h1>{escape(title)}</h1>{inside}</main></body></html>"
    )
    more = {"Retry-After": str(max(1, round(retry_after_s)))} if retry_after_s else {}
    return HTMLResponse(html, status_code=status, headers={**HEADERS, **more})


def said(title: str, sentence: str, status: int, retry_after_s: float = 0.0) -> HTMLResponse:
    return page(title, f"<p>{escape(sentence)}</p>", status, retry_after_s)


def _label(text: str) -> str:
    """All of it: nobody presses what he was not shown."""
    return escape(one_line(text))


def _text(text: str) -> str:
    return escape(visible(text))
