"""One HTML file that needs no other: what a study was asked, what it found, and with what versions."""

from __future__ import annotations

import base64
import json
import platform
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path

import jinja2
import pandas as pd

from brian_qif import __version__
from brian_qif.files import write_atomically

TEMPLATE = """<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>{{ title }}</title><style>
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; color: #222 }
.data { font-weight: bold } table { border-collapse: collapse; font-size: 0.9rem }
td, th { padding: 0.2rem 0.8rem; text-align: right; border-bottom: 1px solid #ddd }
td:first-child, th:first-child { text-align: left } img { max-width: 100% } .wide { overflow-x: auto }
</style></head><body>
<p class="data">{{ data }}</p>
<h1>{{ title }}</h1>
{% for section in sections %}<h2>{{ section.title }}</h2>
{% for text in section.texts %}<p>{{ text }}</p>
{% endfor %}{% if section.table is not none %}<div class="wide"><table><tr>
{% for name in section.table.columns %}<th>{{ name }}</th>{% endfor %}</tr>
{% for row in section.table.itertuples(index=False) %}<tr>{% for value in row %}<td>{{ value }}</td>{% endfor %}</tr>
{% endfor %}</table></div>{% endif %}
{% for caption, image in section.pictures %}<p>{{ caption }}</p>
<img alt="{{ caption }}" src="data:image/png;base64,{{ image }}">
{% endfor %}{% endfor %}<h2>Settings</h2><div class="wide"><table><tr><th>setting</th><th>value</th></tr>
{% for name, value in settings %}<tr><td>{{ name }}</td><td>{{ value }}</td></tr>
{% endfor %}</table></div>
<p>{{ versions }}</p></body></html>
"""


@dataclass(frozen=True)
class Section:
    """A part of a report: a title, paragraphs, a table, and the files of pictures by their captions."""

    title: str
    texts: list[str]
    table: pd.DataFrame | None = None
    pictures: list[tuple[str, Path]] = field(default_factory=list)


def versions_of(*libraries):
    """The versions of this package, of Python and of libraries, by name."""
    return {
        "brian_qif": __version__,
        "python": platform.python_version(),
        **{name: version(name) for name in ("brian2", "numpy", *libraries)},
    }


def write_page(path, title, data, sections, settings, versions):
    """Write a report.

    Parameters
    ----------
    path : str or os.PathLike
        The HTML file. It holds the pictures itself.
    title, data : str
        The title, and one line that says what data it speaks of.
    sections : list of Section
    settings : dict
        Listed at the end; the seed is one of them.
    versions : dict
        From `versions_of`.
    """
    shown = [
        {
            "title": section.title,
            "texts": section.texts,
            "table": None if section.table is None else as_texts(section.table),
            "pictures": [(caption, _encoded(file)) for caption, file in section.pictures],
        }
        for section in sections
    ]
    text = (
        jinja2.Environment(autoescape=True)
        .from_string(TEMPLATE)
        .render(
            title=title,
            data=data,
            sections=shown,
            settings=[(name, json.dumps(value)) for name, value in settings.items()],
            versions=", ".join(f"{name} {number}" for name, number in versions.items()) + ".",
        )
    )
    write_atomically(path, text.encode())


def as_texts(table):
    """A table with its numbers written in three digits, and nothing where there is none."""

    def written(value):
        if value is None or (isinstance(value, float) and pd.isna(value)):
            return ""
        return f"{value:.3g}" if isinstance(value, float) else str(value)

    return table.astype(object).map(written)


def _encoded(path):
    return base64.b64encode(Path(path).read_bytes()).decode("ascii")
