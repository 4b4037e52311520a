"""The page shows the results, and loads nothing from elsewhere."""

import base64
import re
from html.parser import HTMLParser

import pytest

from evaluate.outcomes import Outcome
from evaluate.show.page import page, write_page


@pytest.fixture
def results(make_result):
    rates = [[step, [1e-3, 2e-3]] for step in range(5)]
    return [
        make_result(role="baseline"),
        make_result(learning_rates=rates, submission="<b>bold</b>"),
        make_result(
            submission="b", submission_sha256="c" * 64, outcome=Outcome.ERROR, message="a < b"
        ),
    ]


class Reader(HTMLParser):
    def __init__(self):
        super().__init__()
        self.open, self.tags, self.sources = [], [], []

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        values = dict(attributes)
        self.sources += [values[key] for key in ("src", "href") if key in values]
        if tag not in ("meta", "img", "wbr"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def read(text):
    reader = Reader()
    reader.feed(text)
    assert not reader.open
    return reader


def test_page_is_well_formed_and_fetches_nothing(results):
    text = page(results)
    reader = read(text)
    assert reader.tags.count("tr") == 4 + 2 * 3  # scores; each file against baseline and the other
    assert "script" not in reader.tags
    assert len(reader.sources) == 4  # loss by time and by steps, profile, learning rates
    for source in reader.sources:
        kind, data = source.split(",", 1)
        assert kind == "data:image/svg+xml;base64"
        svg = base64.b64decode(data).decode()
        assert svg.rstrip().endswith("</svg>") and 'xlink:href="http' not in svg
    assert not re.search(r"url\(|@import", text)


def test_names_and_messages_are_escaped(results):
    text = page(results)
    assert "&lt;b&gt;bold" in text and "<b>" not in text
    assert "b on digits, repeat 0: error: a &lt; b" in text and "Runs that missed: 1<" in text


def test_same_results_give_the_same_page(tmp_path, results):
    path = write_page(tmp_path, results)
    assert path.name == "report.html" and path.read_text(encoding="utf-8") == page(results)
