"""What all forms have in common: text fields with a bound, and the problem of each field."""

from __future__ import annotations

from typing import Any

from flask import request
from flask_wtf import FlaskForm  # type: ignore[import-untyped]
from wtforms import PasswordField, StringField  # type: ignore[import-untyped]
from wtforms.validators import Length  # type: ignore[import-untyped]

LONGEST_PASSWORD = 1024
"""Characters. More only keeps the hash busy."""


class Form(FlaskForm):  # type: ignore[misc]
    """A form of the portal. Its CSRF token is checked before any view runs: see ``csrf.py``.

    In a view: ``if not form.validate_on_submit(): return _page(form), 422``.
    """

    def problem(self) -> str:
        """Return the first problem, for a page that has no field to show it at."""
        return next((str(errors[0]) for errors in self.errors.values() if errors), "")


class Query(Form):
    """What an address asks for, or a form adds to it. A field that is not valid is ignored."""

    class Meta:
        """No token: the one of a form is checked before any view runs."""

        csrf = False

    def __init__(self) -> None:
        super().__init__(request.values)
        self.validate()
        for name in self.errors:
            self[name].data = ""


def text(label: str, longest: int, *validators: Any, **options: Any) -> StringField:
    """Return a field for one line of text, stripped.

    :param longest: characters; more is refused before anything looks at the text.
    """
    return StringField(
        label,
        filters=[lambda value: value.strip() if value else ""],
        validators=[_at_most(longest), *validators],
        **options,
    )


def password(label: str, *validators: Any, **options: Any) -> PasswordField:
    """Return a field for a password, which is taken as it is."""
    return PasswordField(
        label,
        filters=[lambda value: value or ""],
        validators=[_at_most(LONGEST_PASSWORD), *validators],
        **options,
    )


def _at_most(longest: int) -> Length:
    return Length(max=longest, message=f"Use at most {longest} characters.")
