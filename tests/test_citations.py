"""What the package says of itself and of the work that it builds on is what CITATION.cff says."""

from pathlib import Path

import pytest

import brian_qif
from brian_qif.citations import WORKS

yaml = pytest.importorskip("yaml", reason="PyYAML is not installed")
CITATION = yaml.safe_load((Path(__file__).parent.parent / "CITATION.cff").read_text(encoding="utf-8"))


def authors(entry):
    return tuple((one.get("family-names", one.get("name")), one.get("given-names", "")) for one in entry["authors"])


def test_the_package_is_cited_as_in_its_file():
    package, *works = WORKS
    assert (package.title, package.authors) == (CITATION["title"], authors(CITATION))
    assert package.version == CITATION["version"] == brian_qif.__version__
    by_title = {entry["title"]: entry for entry in CITATION["references"]}
    assert set(by_title) == {work.title for work in works}
    for work in works:
        entry = by_title[work.title]
        assert work.authors == authors(entry)
        for field in ("year", "journal", "volume", "doi", "url"):
            assert (getattr(work, field) or None) == entry.get(field)


def test_both_forms_name_every_work():
    text, bibtex = brian_qif.cite(), brian_qif.cite("bibtex")
    for work in WORKS:
        assert work.title in text and work.title in bibtex
        assert f"{{{work.key},\n" in bibtex
    assert "https://arxiv.org/abs/2606.03935" in text and len(text.splitlines()) == len(WORKS)
    assert bibtex.count("{") == bibtex.count("}")
    with pytest.raises(ValueError, match="form is 'text' or 'bibtex'; 'apa' was given"):
        brian_qif.cite("apa")
