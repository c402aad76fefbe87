"""Templates and static files of the page.

    templates/*.html    Jinja2, with autoescape on: text of others is data
    static/*            read once, served under a path with their hash, so that a browser keeps them for good

``{{ static("page.css") }}`` in a template is that path.
"""

from __future__ import annotations

import hashlib
import mimetypes
from pathlib import Path
from typing import Any, NamedTuple

import jinja2
from starlette.responses import HTMLResponse

from bridges.answer_tokens import answer_id
from bridges.web.template_filters import add_filters

_HERE = Path(__file__).parent


class StaticFile(NamedTuple):
    """``path`` is where it is served."""

    path: str
    content: bytes
    media_type: str


def _static_files() -> dict[str, StaticFile]:
    found = {}
    for file in sorted((_HERE / "static").iterdir()):
        content = file.read_bytes()
        path = f"/static/{hashlib.sha256(content).hexdigest()[:16]}/{file.name}"
        found[file.name] = StaticFile(path, content, mimetypes.guess_type(file.name)[0] or "application/octet-stream")
    return found


STATIC = _static_files()
"""By file name."""


def static_path(name: str) -> str:
    return STATIC[name].path


ENVIRONMENT = jinja2.Environment(
    loader=jinja2.FileSystemLoader(_HERE / "templates"),
    autoescape=True,
    undefined=jinja2.StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
    auto_reload=False,
)
ENVIRONMENT.globals["static"] = static_path
ENVIRONMENT.globals["answer_id"] = answer_id
add_filters(ENVIRONMENT)


def rendered(template: str, status: int = 200, **context: Any) -> HTMLResponse:
    """A page of a template."""
    return HTMLResponse(ENVIRONMENT.get_template(template).render(context), status_code=status)
