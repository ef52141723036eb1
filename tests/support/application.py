"""The application that the live tests serve; ``mod_wsgi-express`` runs its text."""

from __future__ import annotations

APPLICATION = '''
import os

from flask import Flask, Response, after_this_request, request, session

from flask_delegate import Delegate, Handoff, delegated

app = Flask("served", static_folder=None)
app.config.update(SECRET_KEY=SECRET, DELEGATE_ROOT=SITE_ROOT, **SITE_SETTINGS)
Delegate(app)
application = app
NUMBERS = ("max_age", "rate_limit")


@app.get("/")
def home():
    return "home"


@app.route("/file/<path:path>", methods=["GET", "POST", "PUT", "OPTIONS"])
@delegated(lambda path: request.cookies.get("who") != "bob")
def file(path):
    options = {
        key: int(value) if key in NUMBERS else value for key, value in request.args.items()
    }
    if "as_attachment" in options:
        options["as_attachment"] = True
    return Handoff(path, **options)


@app.get("/hex/<digits>")
@delegated(lambda digits: True)
def hexadecimal(digits):
    """Deliver a file whose name no route could match."""
    return os.fsdecode(bytes.fromhex(digits))


@app.get("/method")
def method():
    return "", {"X-Method": request.method}


@app.get("/elsewhere")
def elsewhere():
    """Answer with a Location that the extension did not make."""
    response = Response("body", status=request.args.get("status", "200 OK"))
    response.autocorrect_location_header = False
    for location in request.args.getlist("to"):
        response.headers.add("Location", location)
    if "header" in request.args:
        response.headers["Status"] = request.args["header"]
    return response


@app.get("/extra")
@delegated(lambda: True)
def extra():
    """Set what a hand-off may lose."""

    @after_this_request
    def add(response):
        response.set_cookie("seen", "1")
        response.headers["X-Extra"] = "1"
        return response

    return "report.txt"


@app.get("/changed/<path:path>")
@delegated(lambda path: True)
def changed(path):
    """Do to a delivered file what hooks of applications do to every response."""

    @after_this_request
    def change(response):
        response.headers["Content-Security-Policy"] = "default-src 'self'"
        response.headers["Cache-Control"] = "public, max-age=0"
        response.headers["Content-Disposition"] = "attachment"
        response.headers["Vary"] = "X-Cookie"
        response.headers["Content-Encoding"] = "gzip"
        response.headers.pop("X-Content-Type-Options", None)
        return response

    return path


@app.get("/header")
def header():
    """Answer with a header by which some servers send a file."""
    return Response("body", headers=request.args.to_dict())


@app.get("/environ")
def environ():
    return {k: v for k, v in request.environ.items() if isinstance(v, str)}


@app.get("/session/<what>")
@delegated(lambda what: True)
def sessions(what):
    if what == "changed":
        session["n"] = 1
    if what == "refreshed":
        session.permanent = True
        session.modified = False
    return "report.txt"
'''


def with_raw_location(application: str) -> str:
    """Add something outside the extension's guard that sends any ``Location``."""
    return (
        application
        + """
def application(environ, start_response):
    if environ["PATH_INFO"] != "/raw":
        return app(environ, start_response)
    start_response("200 OK", [("Location", environ["QUERY_STRING"])])
    return []
"""
    )
