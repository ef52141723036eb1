"""A pytest plugin that makes of Flask 3.1 and Werkzeug 3.1 what 3.2 and 3.3 are to be.

The methods that dispatch a request take the context first, redirects are 303, and werkzeug.http
lacks what it is to lose. To run tests with it:
``python -m pytest -p tests.support.next_flask``.
"""

from __future__ import annotations

import sys
from typing import Any

import flask
import werkzeug.http
import werkzeug.utils
from flask import Flask
from flask.ctx import AppContext
from flask.sansio.app import App

_METHODS = (
    *("handle_http_exception", "handle_user_exception", "handle_exception", "log_exception"),
    *("dispatch_request", "full_dispatch_request", "finalize_request", "preprocess_request"),
    *("make_default_options_response", "process_response", "do_teardown_request"),
    "do_teardown_appcontext",
)


def _taking_context(name: str) -> Any:
    plain = getattr(Flask, name)

    def method(self: Flask, ctx: Any = None, *args: Any, **kwargs: Any) -> Any:
        if isinstance(ctx, AppContext):
            return plain(self, *args, **kwargs)
        caller = sys._getframe(1).f_globals["__name__"]
        if not caller.startswith("flask."):
            raise TypeError(f"Flask.{name}() takes the context first, and {caller} did not pass it")
        return plain(self, *(() if ctx is None else (ctx,)), *args, **kwargs)

    return method


if "ctx" not in Flask.handle_http_exception.__code__.co_varnames[:2]:
    for _name in _METHODS:
        setattr(Flask, _name, _taking_context(_name))
    flask.redirect.__defaults__ = (303, *(flask.redirect.__defaults__ or ())[1:])
    App.redirect.__defaults__ = (303,)
    werkzeug.utils.redirect.__defaults__ = (303, None)

for _name in ("parse_range_header", "parse_content_range_header", "parse_if_range_header"):
    # Werkzeug's own modules, which flask has imported by now, keep it.
    if hasattr(werkzeug.http, _name):
        delattr(werkzeug.http, _name)
