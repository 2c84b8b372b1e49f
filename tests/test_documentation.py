"""The documentation and the code agree: names of symbols, pages in the sidebar, what the smoke build executes."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
PAGES = [page for page in DOCS.rglob("*.md") if "_build" not in page.parts]


def symbol_rows():
    """Names and file of every row of the table of symbols."""
    text = (DOCS / "mathematics.md").read_text(encoding="utf-8")
    table = text[: text.index("## Normal forms")]
    rows = [line.strip("|").split(" | ") for line in table.splitlines() if line.startswith("| $") or "bounds" in line]
    return [(name, file.strip(" `|")) for _, names, file in rows for name in re.findall(r"`(\w+)`", names)]


def test_every_symbol_is_a_name_in_the_code():
    rows = symbol_rows()
    assert len(rows) > 40
    for name, file in rows:
        code = (ROOT / "brian_qif" / file).read_text(encoding="utf-8")
        assert re.search(rf"\b{name}\b", code), f"{file} has no name {name}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(DOCS).as_posix())
def test_a_page_is_in_the_sidebar_and_its_links_lead_to_pages(page):
    text = page.read_text(encoding="utf-8")
    for target in re.findall(r"\]\((?!https?:|#)([^)#\s]+)", text):
        assert (page.parent / target).exists(), f"{page.name} links to {target}"
    name = page.relative_to(DOCS).with_suffix("").as_posix()
    front = (DOCS / "index.md").read_text(encoding="utf-8")
    listed = name in ("index", "devices_table") or re.search(rf"^{re.escape(name)}$", front, re.MULTILINE)
    assert listed or name.startswith(("benchmarks", "examples/", "studies/")), f"docs/index.md does not list {name}"


def test_the_front_page_and_the_readme_say_the_same():
    front = (DOCS / "index.md").read_text(encoding="utf-8")
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    for sentence in ("Exact spike-time gradients for spiking neurons written in [Brian2]", "no surrogate, no finite"):
        assert sentence.lower() in front.lower() and sentence.lower() in readme.lower()
