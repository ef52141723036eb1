"""The extension itself: how an application is set up."""

from __future__ import annotations

from functools import partial
from typing import Any

from flask import Flask

from . import errors
from .cli import delegate as commands
from .config import DEFAULTS, parse
from .doctor import route
from .exceptions import DelegateError
from .guards.lost_headers import warn_of_losses
from .guards.promises import drop_body_headers, keep_promises, mark_private
from .guards.redirects import Check, guarded, stop_unminted, stop_unminted_header
from .servers import server_of
from .state import KEY, State


class Delegate:
    """Delegates the sending of private files to the web server.

    :param app: an application to set up immediately; otherwise call :meth:`init_app`.
    """

    def __init__(self, app: Flask | None = None) -> None:
        if app is not None:
            self.init_app(app)

    def init_app(self, app: Flask) -> None:
        """Set up an application. Its configuration, ``SECRET_KEY`` included, must be complete.

        :raises ConfigurationError: naming the setting at fault and the cure.
        :raises RuntimeError: if the application was set up before.
        """
        if KEY in app.extensions:
            raise RuntimeError("Delegate is already set up for this application.")
        for key, value in DEFAULTS.items():
            app.config.setdefault(key, value)
        settings = parse(app)
        app.extensions[KEY] = State.of(settings)
        # A Location is every application's to set; stop_unminted knows which ones mod_wsgi follows.
        areas = settings.areas.values()
        headers = {server_of(area).header for area in areas} - {"Location", None}
        places = tuple(place for area in areas for place in (area.url, f"{area.root}/"))
        checks: list[Check] = [partial(keep_promises, app), partial(stop_unminted, places)]
        checks += [
            partial(stop_unminted_header, name, places) for name in sorted(filter(None, headers))
        ]
        checks += [partial(warn_of_losses, app), drop_body_headers]
        application: Any = guarded(app.wsgi_app, checks, app.logger.error)
        app.wsgi_app = application  # type: ignore[method-assign]
        app.url_value_preprocessor(partial(mark_private, app))
        if settings.send_file:
            from . import transparent

            transparent.watch(app)
        app.register_error_handler(DelegateError, errors.answer)
        app.cli.add_command(commands)
        route.register(app)
