"""Which language a page is in: the one that the account has chosen, or the browser asks for."""

from __future__ import annotations

from collections.abc import Mapping

from flask import Flask, has_request_context, request
from jinja2 import pass_eval_context
from jinja2.nodes import EvalContext
from markupsafe import Markup

from portal.core import language
from portal.core.language import DEFAULT, Language
from portal.identity.current_user import chosen_language, signed_in_account

from .own_look import OwnFile

_JAVASCRIPT = "text/javascript"
_SILENT = {
    *("static", "health.healthz", "files.download", "files.preview", "thumbnails.show"),
    *("share_page.download", "share_page.thumbnail"),
}
"""Endpoints that say nothing: they send files, and find out by themselves who may have them."""


def init_app(app: Flask, languages: Mapping[str, Language]) -> None:
    """Let templates, and what else writes for people, speak the language of whoever reads."""
    language.register(app.extensions, languages, _code_of_reader)
    app.before_request(_know_reader)
    app.jinja_env.add_extension("jinja2.ext.i18n")
    app.jinja_env.policies["ext.i18n.trimmed"] = True
    app.jinja_env.newstyle_gettext = True  # type: ignore[attr-defined]
    app.jinja_env.globals.update(
        {"_": _gettext, "gettext": _gettext, "ngettext": _ngettext, "language": language.current}
    )


def files(languages: Mapping[str, Language]) -> Mapping[str, OwnFile]:
    """Return what scripts say, in each language but that of the scripts themselves."""
    return {
        f"languages/{code}.js": OwnFile(language.as_script(one), _JAVASCRIPT)
        for code, one in languages.items()
        if code != DEFAULT
    }


def _know_reader() -> None:
    """Find out who is signed in before anything is said: a page is in one language."""
    language.choose_again()
    if request.endpoint not in _SILENT:
        signed_in_account()


def _code_of_reader(languages: Mapping[str, Language]) -> str:
    """Return the code of this request's language."""
    if not has_request_context():
        return DEFAULT
    chosen = chosen_language()
    if chosen and chosen in languages:
        return chosen
    # What the browser wants most (RFC 9110, 12.5.4): ``de`` for ``de-AT``.
    # Werkzeug has what is special before what is wanted more.
    for asked, quality in sorted(request.accept_languages, key=lambda one: -one[1]):
        code = asked.lower().partition("-")[0]
        if quality and code in languages:
            return code
        if quality and code == "*":
            break
    return DEFAULT


@pass_eval_context
def _gettext(context: EvalContext, text: str, **values: object) -> str:
    return _filled(context, language.current().translations.gettext(text), values)


@pass_eval_context
def _ngettext(context: EvalContext, singular: str, plural: str, num: int, **values: object) -> str:
    current = language.current()
    said = current.translations.ngettext(singular, plural, num)
    return _filled(context, said, {**values, "num": current.number(num)})


def _filled(context: EvalContext, said: str, values: Mapping[str, object]) -> str:
    """Return a text with its values, which are escaped where a page is written."""
    text = Markup(said) if context.autoescape else said  # noqa: S704 - a text of the code
    # Most texts have nothing to be filled in, and a page has a hundred.
    return text % values if values or "%" in said else text
