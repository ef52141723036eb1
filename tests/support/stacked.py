"""One process that serves the same files through what applications usually put on.

Each stack is an application of its own, mounted under its name, so that a server starts once.
:data:`APPLICATION` is the source of the module to serve.
"""

from __future__ import annotations

STACKS = (
    *("plain", "talisman", "compress", "compress-all", "caching", "session", "cors", "limiter"),
    *("proxyfix", "dispatcher", "sentry", "opentelemetry", "conditional", "removing", "all"),
)
"""The names of the stacks; ``all`` is all of them together."""

APPLICATION = """
import logging
import warnings

from flask import Flask, request, session
from werkzeug.middleware.dispatcher import DispatcherMiddleware

from flask_delegate import Delegate, delegated

PUT_ON = {}


def stack(function):
    PUT_ON[function.__name__.replace("_", "-")] = function
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

    cache = Cache(app, config={"CACHE_TYPE": "SimpleCache"})
    # The right way round: the path is kept, and each request is authorised.
    app.keep = cache.cached(timeout=60)
    app.keep_response = cache.cached(timeout=60)


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
def removing(app):
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


def served(name, functions, *, is_first):
    app = Flask(name, static_folder=None)
    app.config.update(SECRET_KEY=SECRET, DELEGATE_ROOT=SITE_ROOT, **SITE_SETTINGS)
    lines = Lines()
    app.logger.addHandler(lines)
    app.keep = app.keep_response = lambda view: view
    if is_first:
        Delegate(app)
    for function in functions:
        function(app)
    if not is_first:
        Delegate(app)

    @app.get("/file/<path:path>")
    @delegated(lambda path: request.cookies.get("who") != "bob")
    @app.keep
    def file(path):
        return path

    @app.get("/kept/<path:path>")
    @app.keep_response
    @delegated(lambda path: request.cookies.get("who") != "bob")
    def kept(path):
        return path

    @app.get("/log")
    def log():
        return lines.lines

    return app


def everything():
    for name, function in PUT_ON.items():
        yield f"/{name}", served(name, [function], is_first=True)
        yield f"/{name}-before", served(f"{name}-before", [function], is_first=False)
    yield "/all", served("all", PUT_ON.values(), is_first=True)
    yield "/all-before", served("all-before", PUT_ON.values(), is_first=False)


app = application = DispatcherMiddleware(served("plain", [], is_first=True), dict(everything()))
"""
