"""The check that a form came from a page of the same session."""

from __future__ import annotations

from collections.abc import Callable
from typing import ParamSpec, TypeVar, cast

from flask_wtf.csrf import CSRFError, CSRFProtect  # type: ignore[import-untyped]

__all__ = ["CSRFError", "check_form_in_view", "csrf"]

P = ParamSpec("P")
R = TypeVar("R")

csrf = CSRFProtect()


def check_form_in_view(view: Callable[P, R]) -> Callable[P, R]:
    """Leave the check of the form's token to the view, which calls ``csrf.protect()``."""
    return cast("Callable[P, R]", csrf.exempt(view))
