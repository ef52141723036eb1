"""The README's example."""

from __future__ import annotations

import re

from .paths import PROJECT


def readme_example() -> str:
    """Return its source."""
    found = re.search(r"```python\n(.*?)```", (PROJECT / "README.md").read_text(), re.DOTALL)
    assert found
    return found[1]
