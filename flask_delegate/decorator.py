"""The decorator for views that deliver a file."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from inspect import isawaitable, iscoroutine, iscoroutinefunction
from typing import Any

from flask import current_app, request
from flask.typing import ResponseReturnValue
from werkzeug.wrappers import Response

from .exceptions import AccessDenied
from .extension import send
from .handoff import Handoff, Options

Authorize = Callable[..., Any]
View = Callable[..., Any]


def delegated(
    authorize: Authorize, *, conceal: bool = False, **defaults: Any
) -> Callable[[View], Callable[..., ResponseReturnValue]]:
    """Decorate a view that returns the path of a private file.

    The view runs only when ``authorize`` agreed. It returns a path relative to the area's root, a
    :class:`~flask_delegate.Handoff` with options for this file, or a response, which passes
    through. Put it below ``@app.route`` and ``@login_required``.

    :param authorize: called with the view's arguments. False is answered with 403; it may also
        abort by itself.
    :param conceal: answer 404 instead of 403, the same as for a missing file.
    :param defaults: options of :class:`~flask_delegate.Handoff` for what the view leaves open.
    :raises TypeError: for an unknown option, a view that returns something else, or an
        ``authorize`` that answers with a response or an awaitable, which would count as a yes.
    :raises ValueError: for an option out of its range.
    """
    options = Options(**defaults)
    ask = _synchronous(authorize)

    def decorate(view: View) -> Callable[..., ResponseReturnValue]:
        find = _synchronous(view)

        @functools.wraps(view)
        def wrapped(*args: Any, **view_args: Any) -> ResponseReturnValue:
            if not _is_yes(ask(**view_args)):
                raise AccessDenied(request.endpoint, conceal=conceal)
            result = find(*args, **view_args)
            if isinstance(result, Response):
                return current_app.make_response(result)
            return send(_as_handoff(result).with_defaults(options))

        return wrapped

    return decorate


def _synchronous(function: Callable[..., Any]) -> Callable[..., Any]:
    """Have Flask run a coroutine function; any other is called as it is."""
    if not iscoroutinefunction(function):
        return function
    return lambda *args, **kwargs: current_app.ensure_sync(function)(*args, **kwargs)


def _is_yes(answer: object) -> bool:
    if answer is True:
        return True
    if isinstance(answer, Response | tuple) or isawaitable(answer):
        if iscoroutine(answer):
            answer.close()
        raise TypeError(
            "authorize answers with true or false, or aborts by itself:"
            f" it must not return {type(answer).__name__}"
        )
    return bool(answer)


def _as_handoff(result: object) -> Handoff:
    if isinstance(result, Handoff):
        return result
    if isinstance(result, str | os.PathLike):
        return Handoff(result)
    raise TypeError(
        "a view decorated with @delegated returns a path, a Handoff or a Response,"
        f" not {type(result).__name__}"
    )
