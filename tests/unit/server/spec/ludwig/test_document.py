"""docs/ludwig.md says what the tables read and refuse."""

from tests.ludwig.document import PATH, document


def test_the_page_is_that_of_the_tables() -> None:
    assert PATH.read_text() == document(), "run: python -m tests.ludwig.document"
