"""What docs/conf.py adds to Sphinx: the page of the examples by paper, and a count of what was executed."""

import ast
import re
from pathlib import Path

from sphinx.util import logging

logger = logging.getLogger(__name__)


def example_section(script):
    """Markdown for one script: its docstring, its picture where there is one, and itself."""
    title, _, text = ast.get_docstring(ast.parse(script.read_text(encoding="utf-8"))).partition("\n")
    # The title may be underlined, as in Brian2's examples; an indented citation is no code.
    lines = [line.lstrip() for line in text.split("\n") if not re.fullmatch(r"=+", line)]
    parts = [f"## {title}", "\n".join(lines).strip()]
    picture = script.parent / "pictures" / f"{script.stem}.png"
    if picture.exists():
        parts.append(f"![{title}](pictures/{picture.name})")
    parts.append(f"```{{literalinclude}} {script.name}\n:language: python\n:caption: {script.name}\n```")
    return "\n\n".join(parts)


def add_examples(app, docname, source):
    """Put every script of docs/examples onto their page."""
    if docname == "examples/index":
        scripts = sorted((Path(app.srcdir) / "examples").glob("*.py"))
        source[0] += "\n" + "\n\n".join(example_section(script) for script in scripts)


def drop_empty_globs(app, docname, source):
    """Take patterns that no page matches out of the sidebar: Sphinx would warn of each."""

    def matches(line):
        pages = Path(app.srcdir).glob(f"{line}.md")
        return any(page.stem != "index" for page in pages)

    if docname == "index":
        lines = source[0].split("\n")
        source[0] = "\n".join(line for line in lines if not re.fullmatch(r"[\w/]+\*", line) or matches(line))


def count_executed(app, exception):
    """Say how many pages and code cells were executed."""
    if exception is not None or app.builder.name == "linkcheck":
        return
    cells = {}
    for docname in app.env.found_docs:
        text = Path(app.env.doc2path(docname)).read_text(encoding="utf-8")
        if "exec_data" in app.env.nb_metadata.get(docname, {}):
            cells[docname] = len(re.findall(r"^```\{code-cell\}", text, re.MULTILINE))
    logger.info(f"Executed: {sum(cells.values())} code cells on {len(cells)} pages.")
