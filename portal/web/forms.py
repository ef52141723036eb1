"""What all forms have in common: the check of their token, and fields with a bound."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from flask import abort, render_template, request
from flask.typing import ResponseReturnValue
from flask_wtf import FlaskForm  # type: ignore[import-untyped]
from wtforms import (  # type: ignore[import-untyped]
    DateField,
    IntegerField,
    PasswordField,
    StringField,
)
from wtforms.validators import Length, NumberRange, Optional  # type: ignore[import-untyped]

from portal.core.language import lazy_gettext
from portal.identity import passwords

from .csrf import Protection
from .zone import read_day

_SENT = object()
_WORDS = {
    "Not a valid integer value.": lazy_gettext("Enter a whole number, such as 7."),
    "Not a valid choice.": lazy_gettext("Select one of the choices."),
}
"""What WTForms says by itself, in the portal's words."""

_LARGEST_ID = 2**63 - 1
_NO_PAGE = lazy_gettext("There is no such page. Go back to the first one.")

csrf = Protection()
"""Checks the token of each form before its view; one that is exempt calls ``csrf.protect()``."""


class _Words:
    """Translations, for WTForms."""

    def gettext(self, string: str) -> str:
        return str(_WORDS.get(string, string))

    def ngettext(self, singular: str, plural: str, number: int) -> str:
        return singular if number == 1 else plural


class Form(FlaskForm):  # type: ignore[misc]
    """A form of the portal. Its CSRF token is checked before any view runs.

    :param formdata: what was sent; by default the form of this request. JSON is no form, which
        Flask-WTF would take for one.
    """

    class Meta:
        """No words of a library."""

        def get_translations(self, _form: Form) -> _Words:
            """Return what says errors."""
            return _Words()

    def __init__(self, formdata: Any = _SENT, **values: Any) -> None:
        if formdata is _SENT:
            formdata = request.form if request.method == "POST" else None
        super().__init__(formdata, **values)


class Query(Form):
    """What an address asks for, or a form adds to it.

    A field that is not valid is empty and has errors; a name that cannot be one is not found.
    """

    class Meta:
        """No token: the one of a form is checked before any view runs."""

        csrf = False

    def __init__(self) -> None:
        super().__init__(request.values)
        self.validate()
        for name in self.errors:
            if isinstance(self[name], _NameInURL):
                abort(404)
            self[name].data = ""


def form_page(template: str, form: Form, **values: Any) -> ResponseReturnValue:
    """Return a page with a form; its status is 422 if the form has errors."""
    focus_first_error(form)
    return render_template(template, form=form, **values), 422 if form.errors else 200


def focus_first_error(form: Form) -> None:
    """Have the page open at the first field that is wrong."""
    if wrong := next((field for field in form if field.errors), None):
        wrong.render_kw = {**(wrong.render_kw or {}), "autofocus": True}


class OptionalField(StringField):  # type: ignore[misc]
    """A field that may be empty, for None.

    :param read: returns the value of a text, given the value before, or raises ``ValueError`` with
        what to enter.
    :param write: returns the text of a value.
    """

    def __init__(
        self,
        label: str,
        read: Callable[[str, Any], Any],
        write: Callable[[Any], str] = str,
        **options: Any,
    ) -> None:
        super().__init__(label, **options)
        self._read, self._write = read, write

    def process_formdata(self, valuelist: Sequence[str]) -> None:
        """Read what was typed."""
        written = valuelist[0].strip() if valuelist else ""
        self.data = self._read(written, self.object_data) if written else None

    def _value(self) -> str:
        if self.raw_data:
            return str(self.raw_data[0])
        return "" if self.data is None else self._write(self.data)


class DayField(DateField):  # type: ignore[misc]
    """A field for a day, or none."""

    def process_formdata(self, valuelist: Sequence[str]) -> None:
        """Read what was typed."""
        written = valuelist[0].strip() if valuelist else ""
        self.data = None
        if written:
            self.data = read_day(written)


class _Text(StringField):  # type: ignore[misc]
    """A text, which is empty if it was not sent."""

    def process_formdata(self, valuelist: Sequence[str]) -> None:
        self.data = valuelist[0] if valuelist else ""


class _NameInURL(_Text):
    """What something is called in URLs, taken as it is."""


def page_before() -> IntegerField:
    """Return a field for the id of the row before which a page of a list begins."""
    return IntegerField(validators=[Optional(), NumberRange(0, _LARGEST_ID, _NO_PAGE)])


def text(label: str, longest: int, *validators: Any, **options: Any) -> StringField:
    """Return a field for one line of text, stripped.

    :param longest: characters; more is refused before anything looks at the text.
    """
    return _Text(
        label,
        filters=[lambda value: value.strip() if value else ""],
        validators=[_at_most(longest), *validators],
        **options,
    )


def name_in_url(label: str, longest: int = 64) -> StringField:
    """Return a field for what something is called in URLs; empty if there is none."""
    return _NameInURL(label, filters=[lambda value: value or ""], validators=[_at_most(longest)])


def password(label: str, *validators: Any, **options: Any) -> PasswordField:
    """Return a field for a password, which is taken as it is."""
    return PasswordField(
        label,
        filters=[lambda value: value or ""],
        validators=[_at_most(passwords.LONGEST), *validators],
        **options,
    )


def _at_most(longest: int) -> Length:
    return Length(
        max=longest,
        message=lazy_gettext("Use at most %(longest)s characters.", longest=longest),
    )
