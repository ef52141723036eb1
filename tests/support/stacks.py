"""One process that serves files through what applications usually put on.

Each stack is an application of its own, mounted under its name, so that a server starts once. It is
put on before the extension; ``/all`` has all of them, and ``/all-outside`` put them on after it.
"""

from __future__ import annotations

import re

APPLICATION = """
import logging

from flask import Flask, request
from werkzeug.middleware.dispatcher import DispatcherMiddleware

from flask_delegate import Delegate, delegated

STACKS = {}


def stack(function):
    STACKS[function.__name__] = function
    return function


@stack
def talisman(app):
    from flask_talisman import Talisman

    Talisman(app, force_https=False)


@stack
def compress(app):
    from flask_compress import Compress

    Compress(app)


@stack
def compress_all(app):
    from flask_compress import Compress

    app.config.update(COMPRESS_MIN_SIZE=0, COMPRESS_MIMETYPES=["text/plain", "text/html"])
    Compress(app)


@stack
def caching(app):
    from flask_caching import Cache

    app.kept = Cache(app, config={"CACHE_TYPE": "SimpleCache"}).cached(timeout=60)


@stack
def session(app):
    from cachelib import SimpleCache
    from flask_session import Session

    app.config.update(SESSION_TYPE="cachelib", SESSION_CACHELIB=SimpleCache())
    Session(app)


@stack
def cors(app):
    from flask_cors import CORS

    CORS(app, supports_credentials=True)


@stack
def limiter(app):
    from flask_limiter import Limiter
    from flask_limiter.util import get_remote_address

    Limiter(
        get_remote_address,
        app=app,
        default_limits=["10000 per hour"],
        headers_enabled=True,
        storage_uri="memory://",
    )


@stack
def proxyfix(app):
    from werkzeug.middleware.proxy_fix import ProxyFix

    app.wsgi_app = ProxyFix(app.wsgi_app, x_for=1, x_proto=1, x_host=1, x_prefix=1)


@stack
def dispatcher(app):
    app.wsgi_app = DispatcherMiddleware(app.wsgi_app, {"/elsewhere": Flask("elsewhere")})


@stack
def sentry(app):
    import sentry_sdk
    from sentry_sdk.integrations.flask import FlaskIntegration
    from sentry_sdk.integrations.wsgi import SentryWsgiMiddleware

    sentry_sdk.init(integrations=[FlaskIntegration()], default_integrations=False)
    app.wsgi_app = SentryWsgiMiddleware(app.wsgi_app)


@stack
def opentelemetry(app):
    from opentelemetry.instrumentation.flask import FlaskInstrumentor
    from opentelemetry.instrumentation.wsgi import OpenTelemetryMiddleware

    FlaskInstrumentor().instrument_app(app)
    app.wsgi_app = OpenTelemetryMiddleware(app.wsgi_app)


@stack
def conditional(app):
    @app.after_request
    def answer_conditions(response):
        if not response.direct_passthrough:
            response.add_etag()
        return response.make_conditional(request)


@stack
def copying(app):
    inner = app.wsgi_app
    app.wsgi_app = lambda environ, start_response: inner(dict(environ), start_response)


@stack
def changing(app):
    @app.after_request
    def change(response):
        response.headers["Cache-Control"] = "public, max-age=600"
        response.headers["Content-Type"] = "text/html"
        for name in ("Content-Security-Policy", "X-Content-Type-Options", "Vary"):
            response.headers.pop(name, None)
        return response


class Lines(logging.Handler):
    def __init__(self):
        super().__init__()
        self.lines = []

    def emit(self, record):
        self.lines.append(record.getMessage())


def served(name, inside, outside):
    app = Flask(f"stack_{name}", static_folder=None)
    app.config.update(SECRET_KEY=SECRET, DELEGATE_ROOT=SITE_ROOT, **SITE_SETTINGS)
    log = Lines()
    app.logger.addHandler(log)
    app.kept = lambda view: view
    for function in inside:
        function(app)
    Delegate(app)
    for function in outside:
        function(app)

    def may(path):
        return request.cookies.get("who") != "bob"

    @app.get("/file/<path:path>")
    @delegated(may)
    @app.kept
    def file(path):
        return path

    @app.get("/cached/<path:path>")
    @app.kept
    @delegated(may)
    def cached(path):
        return path

    @app.get("/log")
    def lines():
        return log.lines

    return app


everything = list(STACKS.values())
mounts = {f"/{name}": served(name, [function], []) for name, function in STACKS.items()}
mounts |= {"/all": served("all", everything, []), "/all-outside": served("out", [], everything)}
app = application = DispatcherMiddleware(served("plain", [], []), mounts)
"""
"""The source of the module to serve."""

STACKS = (*re.findall(r"^@stack\ndef (\w+)", APPLICATION, re.MULTILINE), "all", "all-outside")
"""Where they are mounted."""
