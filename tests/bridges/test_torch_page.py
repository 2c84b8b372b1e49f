"""docs/how-to/torch.md is executed here, not when the documentation is built: it prints what it shows."""

import contextlib
import io
import re
from pathlib import Path

import pytest

PAGE = Path(__file__).parent.parent.parent / "docs" / "how-to" / "torch.md"


def test_the_page_prints_what_it_shows():
    pytest.importorskip("torch", reason="PyTorch is not installed")
    parts = re.findall(r"```python\n(.*?)```\n\n```text\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    assert len(parts) == 5
    names = {}
    for code, shown in parts:
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            exec(compile(code, str(PAGE), "exec"), names)
        assert printed.getvalue() == shown
