"""The site is whole: every page is in it, every link leads somewhere, and nothing is loaded from elsewhere."""

import os
import re
import runpy
import subprocess
import sys
import threading
import tomllib
from collections.abc import Iterator
from functools import partial
from html.parser import HTMLParser
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from playwright.sync_api import sync_playwright

from broker.protocol.errors import CATALOGUE

pytestmark = pytest.mark.docs

ROOT = Path(__file__).parents[2]
CHROMIUM = "/usr/bin/chromium"
_LOADS = {"link": "href", "script": "src", "img": "src", "source": "srcset", "iframe": "src", "video": "src", "object": "data"}
_CODE = re.compile(r"^```.*?^```$|`[^`\n]*`", re.M | re.S)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built with --strict: a page in no nav, and a link or anchor that leads nowhere, end it."""
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)]
    env = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "WARNING" not in done.stderr
    return folder


class Loads(HTMLParser):
    """What a browser fetches for a page, and the classes in it."""

    def __init__(self) -> None:
        super().__init__()
        self.urls: list[str] = []
        self.classes: set[str] = set()

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        given = dict(attributes)
        self.classes.update((given.get("class") or "").split())
        url = given.get(_LOADS.get(tag, ""))
        if url and not (tag == "link" and given.get("rel") in ("canonical", "next", "prev")):
            self.urls.append(url)


def outside(url: str) -> bool:
    return re.match(r"(?:[a-z][a-z0-9+.-]*:)?//", url) is not None


def test_no_page_loads_anything_from_elsewhere(site: Path) -> None:
    pages = sorted(site.rglob("*.html"))
    assert len(pages) > 25
    for path in pages:
        page = Loads()
        page.feed(path.read_text(encoding="utf-8"))
        assert page.urls and [url for url in page.urls if outside(url)] == [], path.name
        assert not page.classes & {"mermaid", "arithmatex"}, "the theme would fetch a script for it"
    for path in site.rglob("*.css"):
        fetched = re.findall(r"url\(['\"]?([^)'\"]+)|@import\s+['\"]([^'\"]+)", path.read_text(encoding="utf-8"))
        assert [url for pair in fetched for url in pair if outside(url)] == [], path.name


@pytest.fixture(scope="module")
def address(site: Path) -> Iterator[str]:
    handler = partial(SimpleHTTPRequestHandler, directory=str(site))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


FINDS = {
    "message queue full for": "errors.html#mailbox_full",
    "connect codex": "codex.html#connect-it",
    "disk full": "operations.html#the-disk-is-full",
    "lost at power loss": "concepts.html#what-is-lost-when-power-fails-or-a-process-is-killed",
}
"""What a stranger types into the search, and what must be among the answers."""


def test_a_stranger_finds_what_they_need_and_the_browser_asks_nobody_else(address: str) -> None:
    asked: list[str] = []
    with (
        sync_playwright() as playwright,
        playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"]) as browser,
    ):
        page = browser.new_page()
        page.on("request", lambda request: asked.append(request.url))
        page.goto(f"{address}index.html")
        for words, found in FINDS.items():
            path, anchor = found.split("#")
            page.fill(".md-search__input", words)
            page.press(".md-search__input", "End")  # the theme looks at keys
            page.wait_for_selector(f".md-search-result__link[href*='/{path}'][href$='#{anchor}']", state="attached")
        page.goto(f"{address}concepts.html")
        assert page.locator("svg.picture").count() == 5
    assert len(asked) > 5 and [url for url in asked if not url.startswith((address, "data:", "blob:"))] == []


def links(text: str) -> Iterator[tuple[str, str]]:
    """(path, anchor) of each link that stays in the repository."""
    for link in re.findall(r"\]\(([^)\s]+)\)", _CODE.sub("", text)):
        if not outside(link) and not link.startswith("mailto:"):
            path, _, anchor = link.partition("#")
            yield path, anchor


def anchors(text: str) -> set[str]:
    """Those that headings have, as repositories and the site make them."""
    from pymdownx.slugs import slugify  # of the extra docs, which the other tests do without

    slug = slugify(case="lower")
    headings = re.findall(r"^#{1,6} (.+?)(?: *#*)$", re.sub(r"^```.*?^```$", "", text, flags=re.M | re.S), re.M)
    return {slug(re.sub(r"[`*]|\]\([^)]*\)", "", heading), "-") for heading in headings}


@pytest.mark.parametrize("page", ["README.md", "SECURITY.md", "CHANGELOG.md", "CONTRIBUTING.md", "broker/PROTOCOL.md", "docs"])
def test_links_of_the_repository_lead_to_files_and_headings(page: str) -> None:
    for path in sorted((ROOT / page).glob("*.md")) if page == "docs" else [ROOT / page]:
        for link, anchor in links(path.read_text(encoding="utf-8")):
            target = (path.parent / link).resolve() if link else path
            if target != ROOT / "docs" / "commands.md":  # made when the site is built
                assert target.exists(), f"{path.name}: {link}"
                assert not anchor or anchor in anchors(target.read_text(encoding="utf-8")), f"{path.name}: {link}#{anchor}"


def test_every_error_says_what_it_means() -> None:
    groups = tomllib.loads((ROOT / "docs" / "errors.toml").read_text(encoding="utf-8")).values()
    assert {code for group in groups for code in group} == CATALOGUE.keys(), "docs/errors.toml, then python -m broker.reference"


def test_the_pictures_of_concepts_are_what_their_script_draws() -> None:
    drawn = runpy.run_path(str(ROOT / "docs" / "concept_pictures.py"))["PICTURES"]
    page = (ROOT / "docs" / "concepts.md").read_text(encoding="utf-8")
    assert set(re.findall(r"\(pictures/([\w-]+)\.svg\)", page)) == drawn.keys()
    for name, draw in drawn.items():
        picture = (ROOT / "docs" / "pictures" / f"{name}.svg").read_text(encoding="utf-8")
        assert picture == draw().svg(), "run: python docs/concept_pictures.py"
