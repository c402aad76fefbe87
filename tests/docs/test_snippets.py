"""What the pages tell to type works as it stands there, and shows what they show."""

from pathlib import Path

import pytest

from tests.docs.snippets import DOCS, Reader, blocks

pytestmark = [pytest.mark.docs, pytest.mark.timeout(150)]

PAGES = sorted(path.name for path in DOCS.glob("*.md") if any(block.kind for block in blocks(path.name)))
"""Those of which a block is marked."""


@pytest.mark.parametrize("page", PAGES)
def test_a_page_is_typed_as_it_stands(page: str, home: Path) -> None:
    with Reader(home) as reader:
        for block in blocks(page):
            reader.follow(block)
        reader.finish()


def test_each_block_of_a_page_that_is_run_says_what_it_is() -> None:
    assert {"tutorial.md", "claude-code.md", "codex.md", "gemini.md", "bash.md", "node.md"} <= set(PAGES)
    assert [(page, block.text) for page in PAGES for block in blocks(page) if not block.kind] == []
