"""The decorator for views that deliver a file."""

from __future__ import annotations

import functools
import os
from collections.abc import Awaitable, Callable
from inspect import isawaitable, iscoroutine, iscoroutinefunction
from typing import Any, Concatenate, Literal, ParamSpec, TypeVar, Unpack, overload

from flask import Response, current_app, request
from werkzeug.wrappers import Response as BaseResponse

from .exceptions import AccessDenied
from .guards.promises import DELIVERS
from .guards.redirects import PRIVATE
from .handoff import Handoff, Options
from .sending import send

Found = TypeVar("Found")
P = ParamSpec("P")

Returned = str | os.PathLike[str] | Handoff | BaseResponse
"""What a decorated view returns."""
Answer = Returned | Awaitable[Returned]


# A bool is an object, too; a type checker takes the first that fits.
@overload
def delegated(  # type: ignore[overload-overlap]
    authorize: Callable[..., bool | Awaitable[bool]],
    *,
    conceal: bool = False,
    **defaults: Unpack[Options],
) -> Callable[[Callable[P, Answer]], Callable[P, Response]]: ...


@overload
def delegated(
    authorize: Callable[..., Awaitable[Found | Literal[False] | None]],
    *,
    conceal: bool = False,
    **defaults: Unpack[Options],
) -> Callable[[Callable[Concatenate[Found, P], Answer]], Callable[P, Response]]: ...


@overload
def delegated(
    authorize: Callable[..., Found | Literal[False] | None],
    *,
    conceal: bool = False,
    **defaults: Unpack[Options],
) -> Callable[[Callable[Concatenate[Found, P], Answer]], Callable[P, Response]]: ...


def delegated(
    authorize: Callable[..., Any], *, conceal: bool = False, **defaults: Unpack[Options]
) -> Callable[[Callable[..., Any]], Callable[..., Response]]:
    """Decorate a view that returns the path of a private file.

    The view runs only if ``authorize`` agrees. It returns a path relative to the area's root, a
    :class:`~flask_delegate.Handoff` with options for this file, or a response, which passes
    through. Put it below ``@app.route`` and ``@login_required``.

    ``authorize`` is called with the view's arguments, and may be a coroutine function. It returns

    - ``True``: the view is called with its own arguments.
    - an object that it looked up, such as a database row: the view gets it as its first positional
      argument, before its own.
    - ``False``, ``None`` or anything else that is false, such as ``0`` or an empty list: the view
      does not run, and the answer is 403.

    ::

        @app.get("/invoices/<int:number>")
        @delegated(find_invoice)
        def download(invoice: Invoice, number: int) -> str:
            return invoice.path

    :param authorize: the function; it may also abort by itself.
    :param conceal: answer 404 instead of 403, the same as for a missing file.
    :param defaults: options of :class:`~flask_delegate.Handoff` for what the view leaves open.
    :raises TypeError: for an unknown option, a view that returns something else, or an
        ``authorize`` that returns a response, a tuple or an awaitable, which would pass for an
        object that it found.
    :raises ValueError: for an option out of its range.
    """
    Handoff("", **defaults)  # a mistake is found here, not in a request

    ask = _synchronous(authorize)

    def decorate(view: Callable[..., Any]) -> Callable[..., Response]:
        run = _synchronous(view)

        @functools.wraps(view)
        def wrapped(*args: Any, **view_args: Any) -> Response:
            request.environ.setdefault(PRIVATE, []).append(True)
            answer = ask(**view_args)
            if answer is not True:
                if not _is_found(answer):
                    raise AccessDenied(request.endpoint, conceal=conceal)
                args = (*args, answer)
            result = run(*args, **view_args)
            if isinstance(result, BaseResponse):
                return current_app.make_response(result)
            return send(_as_handoff(result).with_defaults(defaults))

        setattr(wrapped, DELIVERS, True)
        return wrapped

    return decorate


def _synchronous(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return a coroutine function as one that Flask runs; return any other unchanged."""
    if not iscoroutinefunction(function):
        return function
    return lambda *args, **kwargs: current_app.ensure_sync(function)(*args, **kwargs)


def _is_found(answer: object) -> bool:
    if isinstance(answer, BaseResponse | tuple) or isawaitable(answer):
        if iscoroutine(answer):
            answer.close()
        raise TypeError(
            "authorize returns true, false or the object that it found, or aborts by itself:"
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
