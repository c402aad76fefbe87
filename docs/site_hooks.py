"""What mkdocs does for this site (``hooks`` of mkdocs.yml).

The site has the repository's form, with docs/ as its top: what pages link to outside of docs/ goes in at its own path. So links
work in the repository and on the site. The page of commands is made from the parsers, and pictures become part of their pages,
so that they follow its colours.
"""

import argparse
import os
import posixpath
import re
from collections.abc import Iterator
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

from bridges.cli.commands import COMMANDS, parser_of

ROOT = Path(__file__).resolve().parent.parent
_LINK = re.compile(r"(?<=\]\()(?!https?:|mailto:|#)([^)\s#]+)((?:#[^)\s]*)?)(?=\))")
_BY_FILE = re.compile(r"(?<=\[)([\w./-]+\.md)(?=\]\(([\w/.-]+\.md)[)#])")
"""A link whose words are the file's name; the site has the page's title there."""
_PICTURE = re.compile(r'<img alt="([^"]*)" src="(?:\.\./)*(pictures/[\w-]+\.svg)" ?/?>')
_MARK = re.compile(r"^<!-- (?:file: ([\w./-]+)|run: (?!status)(\w+)[^>]*) -->\n```(\w+)$", re.M)
"""What tests/docs/snippets.py reads: which file a block is, or in whose terminal it is typed."""
_MACHINES = re.compile(r"^```sh (\w[\w ]*?)(?: status=\d)?$", re.M)
"""What tests/nats/typed.py reads: at which machines a block is typed."""
BOOST = {
    **dict.fromkeys(
        (
            "tutorial.md",
            "claude-code.md",
            "codex.md",
            "gemini.md",
            "bash.md",
            "node.md",
            "python.md",
            "faq.md",
            "page.md",
            "terminal.md",
        ),
        4,
    ),
    **dict.fromkeys(("concepts.md", "operations.md", "errors.md"), 8),
    **dict.fromkeys(
        ("nlparse/RULES.md", "bench/results/results.md", "bench/results/peers.md", "peers.md", "CHANGELOG.md"), 0.3
    ),
}
"""What the search shows before, or behind, other pages: how much more a word counts there."""
_COMMANDS_HEAD = """\
# Commands

Each `ipc` command with its arguments, as `ipc COMMAND --help` prints them.

Exit status: 0 done, 1 failed, 2 usage, 3 service not reachable, 4 not registered or not allowed, 5 refused by a limit
(try again later), 130 interrupted.
"""


def on_files(files: Files, config: MkDocsConfig) -> Files:
    files.append(File.generated(config, "commands.md", content=commands_page()))
    pages = [file for file in files if file.is_documentation_page()]
    while pages:
        page = pages.pop()
        for target in sorted(linked_files(page)):
            there = site_path(target)
            if there not in files.src_uris and (ROOT / target).is_file():
                file = File.generated(config, there, abs_src_path=str(ROOT / target))
                files.append(file)
                if file.is_documentation_page():
                    pages.append(file)
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Links lead to where things are on the site; a block says at which machine it is typed."""
    here = repository_path(page.file)
    page.meta["search"] = {"boost": BOOST.get(page.file.src_uri, 1)}

    def moved(found: re.Match[str]) -> str:
        target = site_path(resolved(here, found[1]))
        return posixpath.relpath(target, posixpath.dirname(page.file.src_uri) or ".") + found[2]

    markdown = _BY_FILE.sub(lambda found: title_of(resolved(here, found[2])) or found[1], markdown)
    markdown = _LINK.sub(moved, markdown)
    markdown = _MARK.sub(lambda found: f'```{found[3]} title="{found[1] or in_terminal(found[2])}"', markdown)
    return _MACHINES.sub(lambda found: f'```sh title="on {" and ".join(found[1].split())}"', markdown)


def title_of(path: str) -> str:
    """The heading of a page; empty where there is none."""
    file = ROOT / path
    first = file.read_text(encoding="utf-8").partition("\n")[0] if file.is_file() else ""
    return first.removeprefix("# ") if first.startswith("# ") else ""


def in_terminal(name: str) -> str:
    return "in another terminal" if name == "another" else f"in {name}'s terminal"


def on_page_content(html: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    return _PICTURE.sub(lambda found: (ROOT / "docs" / found[2]).read_text(encoding="utf-8"), html)


def commands_page() -> str:
    """Markdown."""
    os.environ.update(COLUMNS="100", NO_COLOR="1")  # not those of the terminal where the site is built
    parts = [_COMMANDS_HEAD]
    for name in COMMANDS:
        parser = parser_of(name)
        parts.append(f"## ipc {name}\n")
        for one in (parser, *subcommands(parser)):
            parts.append(f"```text\n{one.format_help()}```\n")
    return "\n".join(parts)


def subcommands(parser: argparse.ArgumentParser) -> Iterator[argparse.ArgumentParser]:
    for action in parser._subparsers._group_actions if parser._subparsers else ():
        yield from action.choices.values()  # type: ignore[union-attr]


def linked_files(page: File) -> Iterator[str]:
    """Paths in the repository, of what may be files."""
    here = repository_path(page)
    return (resolved(here, link) for link, _ in _LINK.findall(page.content_string))


def resolved(here: str, link: str) -> str:
    return posixpath.normpath(posixpath.join(posixpath.dirname(here), link))


def site_path(path: str) -> str:
    return path.removeprefix("docs/")


def repository_path(file: File) -> str:
    return posixpath.relpath(file.abs_src_path, ROOT) if file.abs_src_path else f"docs/{file.src_uri}"
