"""The pages that are made from the tables say what the tables say."""

from broker.reference import ROOT, errors_page, page, with_requests


def test_the_reference_page_is_made_from_the_tables() -> None:
    assert (ROOT / "docs" / "reference.md").read_text(encoding="utf-8") == page(), "run: python -m broker.reference"


def test_the_protocols_table_of_requests_is_made_from_the_table_of_actions() -> None:
    written = (ROOT / "broker" / "PROTOCOL.md").read_text(encoding="utf-8")
    assert written == with_requests(written), "run: python -m broker.reference"


def test_the_page_of_errors_is_made_from_the_catalogue() -> None:
    assert (ROOT / "docs" / "errors.md").read_text(encoding="utf-8") == errors_page(), "run: python -m broker.reference"
