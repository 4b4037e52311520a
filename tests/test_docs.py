"""The documentation is readable and its links work."""

import re
from pathlib import Path

import pytest

from benchmarks.registry import NAMES

ROOT = Path(__file__).parent.parent
PAGES = sorted({*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), ROOT / "checkpoints" / "README.md"})
WIDTH, README_WORDS = 120, 1700
GENERATED = re.compile(r"<!-- (.*?): begin -->.*?<!-- \1: end -->", re.DOTALL)
FENCED = re.compile(r"^( *)```.*?^\1```", re.DOTALL | re.MULTILINE)
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
#: Unidiomatic phrases, and what to write instead.
PHRASES = {
    r"by heart": "overfits, memorises",
    r"beg[aiu]n(s|ning)? anew": "restarts",
    r"(is|are|was|were|be) let be": "left unchanged",
    r"is late, is there": "slow, reaches the target",
    r"so many,? of": "N of N",
    r"tells? (of|that|whether|which|how|noise|apart)": "shows, measures, says",
    r"where it pays": "if it helps",
    r"what (it|that|this|they) (is|are|was|were) worth": "the gain",
    r"g[ai]ve(s|n)? way": "falls back",
    r"burden(ed|s)?": "dominated by the update",
    r"at hand": "available",
    r"else (it|he|they|the)": "otherwise",
    r"as it is[.,;:)]": "unchanged",
    r"of (its|their|one's) own": "its own",
    r"in turn": "alternately",
    r"within noise": "an interval and n",
}


def text_of(page):
    """Return the page without code blocks."""
    return FENCED.sub("", page.read_text(encoding="utf-8"))


def anchors_of(page):
    """Return the anchors of the page's headings, as made by GitHub."""
    headings = re.findall(r"^#+ (.*)$", text_of(page), re.MULTILINE)
    plain = [LINK.sub(lambda m: m[0][1 : m[0].index("]")], heading) for heading in headings]
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in plain}


def dead_links(page):
    for target in LINK.findall(text_of(page)):
        if re.match(r"[a-z]+:", target):
            continue  # a web address
        path, _, anchor = target.partition("#")
        file = (page.parent / path).resolve() if path else page
        is_dead = not file.exists() or anchor and anchor not in anchors_of(file)
        if is_dead:
            yield target


pages = pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))


@pages
def test_lines_fit(page):
    written = GENERATED.sub("", text_of(page))
    lines = [line for line in written.splitlines() if not line.startswith("|")]
    assert [line for line in lines if len(line) > WIDTH] == []


@pages
def test_no_link_is_dead(page):
    assert list(dead_links(page)) == []


@pages
def test_phrases_are_idiomatic(page):
    text = " ".join(text_of(page).split())
    found = {
        match[0]: mend
        for phrase, mend in PHRASES.items()
        for match in re.finditer(rf"\b{phrase}", text)
    }
    assert found == {}


@pages
def test_make_targets_exist(page):
    targets = re.findall(r"^([\w -]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    made = {target for line in targets for target in line.split()}
    made |= {f"bench-{name}" for name in NAMES}
    commands = re.findall(r"(?:^|`)make((?: [a-z][\w-]*)+)", page.read_text(), re.MULTILINE)
    assert {target for command in commands for target in command.split()} <= made


def test_readme_is_short():
    assert len((ROOT / "README.md").read_text(encoding="utf-8").split()) <= README_WORDS


def test_dead_links_and_anchors_are_found(tmp_path):
    page = tmp_path / "page.md"
    page.write_text(
        "# A *title* (of `it`)\n[a](#a-title-of-it) [b](page.md#b) [c](#none) [d](no.md)\n"
        "```\n[e](no.md)\n```\n[f](https://example.org/no.md)\n",
        encoding="utf-8",
    )
    assert list(dead_links(page)) == ["page.md#b", "#none", "no.md"]
