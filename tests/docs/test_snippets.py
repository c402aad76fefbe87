"""What the pages tell to type works as it stands there, and shows what they show."""

from pathlib import Path

import pytest

from tests.docs.snippets import DOCS, Reader, blocks

pytestmark = pytest.mark.docs

PAGES = (
    "tutorial.md",
    "claude-code.md",
    "codex.md",
    "gemini.md",
    "bash.md",
    "node.md",
    "python.md",
    "operations.md",
    "terminal.md",
    "leave.md",
    "faq.md",
)


@pytest.mark.parametrize("page", PAGES)
def test_a_page_is_typed_as_it_stands(page: str, home: Path) -> None:
    with Reader(home) as reader:
        for block in blocks(page):
            reader.follow(block)
        reader.finish()


@pytest.mark.parametrize("page", sorted(path.name for path in DOCS.glob("*.md")))
def test_each_block_of_a_page_that_is_run_says_what_it_is(page: str) -> None:
    kinds = [block.kind for block in blocks(page)]
    assert page not in PAGES or all(kinds), [block.text for block in blocks(page) if not block.kind]
    assert page in PAGES or not any(kinds), "PAGES of this test lacks the page"
