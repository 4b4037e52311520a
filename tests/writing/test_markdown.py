"""Markdown tables, and the blocks of pages that hold them."""

import pytest

from writing.markdown import insert, table

PAGE = "a\n<!-- one: begin -->\nold\n<!-- one: end -->\nb\n<!-- two: begin -->\n<!-- two: end -->\n"


def test_bars_are_escaped_and_columns_aligned():
    assert table(["a", "b"], [["x|y", "1"]]) == "| a | b |\n| --- | --- |\n| x\\|y | 1 |"
    assert table(["a", "b"], [], numbers_right=True) == "| a | b |\n| :--- | ---: |"


def test_only_the_block_is_replaced():
    expected = PAGE.replace("\nold\n", "\n\na \\1 table\n\n")
    assert insert(PAGE, "one", "a \\1 table") == expected
    assert insert(expected, "one", "a \\1 table") == expected


@pytest.mark.parametrize(
    "page",
    [
        "text",
        "<!-- one: begin -->",
        "<!-- one: end --><!-- one: begin -->",
        PAGE + PAGE,
    ],
)
def test_page_without_exactly_one_such_block_is_refused(page):
    with pytest.raises(ValueError, match="'<!-- one: begin -->' and '<!-- one: end -->' once"):
        insert(page, "one", "table")
