"""The applications that are compared, as texts of WSGI scripts: the same file, sent in each way.

``SITE_ROOT``, ``SITE_SETTINGS`` and ``SECRET`` are defined for them.
"""

from __future__ import annotations

OURS = """
from pathlib import Path

from flask import Flask, Response, request

from flask_delegate import Delegate, delegated, signed_cookie, signed_url

app = application = Flask("ours", static_folder=None)
app.config.update(SECRET_KEY=SECRET, DELEGATE_ROOT=SITE_ROOT, **SITE_SETTINGS)
Delegate(app)


@app.get("/")
@app.get("/empty")
def empty():
    return ""


@app.get("/handoff/<name>")
@delegated(lambda name: True)
def handoff(name):
    return name


@app.get("/sign/<name>")
def sign(name):
    return signed_url(name, expires_in=86400)


@app.get("/open/<folder>")
def open_folder(folder):
    return signed_cookie(folder, expires_in=86400)


@app.get("/wrapper/<name>")
def wrapper(name):
    path = Path(SITE_ROOT, name)
    wrap = request.environ["wsgi.file_wrapper"]
    headers = {"Content-Length": str(path.stat().st_size), "Content-Type": "text/plain"}
    return Response(wrap(path.open("rb")), headers=headers, direct_passthrough=True)


@app.get("/generator/<name>")
def generator(name):
    path = Path(SITE_ROOT, name)

    def pieces():
        with path.open("rb") as file:
            while piece := file.read(65536):
                yield piece

    headers = {"Content-Length": str(path.stat().st_size), "Content-Type": "text/plain"}
    return Response(pieces(), headers=headers)
"""

SEND_FILE = """
from pathlib import Path

from flask import Flask, send_file

app = application = Flask("send_file", static_folder=None)


@app.get("/")
def home():
    return ""


@app.get("/file/<name>")
def file(name):
    return send_file(Path(SITE_ROOT, name))
"""

DJANGO = """
import django
from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.http import HttpResponse
from django.urls import path
from django_sendfile import sendfile

settings.configure(
    SECRET_KEY=SECRET,
    ALLOWED_HOSTS=["*"],
    ROOT_URLCONF=__name__,
    SENDFILE_BACKEND="django_sendfile.backends.mod_wsgi",
    SENDFILE_ROOT=SITE_ROOT,
    SENDFILE_URL="/private",
)
urlpatterns = [
    path("", lambda request: HttpResponse("")),
    path("file/<name>", lambda request, name: sendfile(request, SITE_ROOT + "/" + name)),
]
application = get_wsgi_application()
"""
