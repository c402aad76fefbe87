"""The reference page says what the tables say."""

from pathlib import Path

from broker.reference import page


def test_the_reference_page_is_made_from_the_tables() -> None:
    written = Path(__file__).parent.parent / "docs" / "reference.md"
    assert written.read_text(encoding="utf-8") == page(), "run: python -m broker.reference > docs/reference.md"
