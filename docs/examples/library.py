"""A library that was there before: its views call Flask's own functions, and are as they were.

    mkdir -p library; echo A book. > library/1.pdf
    export FLASK_SECRET_KEY="only to try it" FLASK_DELEGATE_ROOT="$PWD/library"
    export FLASK_DELEGATE_SEND_FILE=true
    flask --app library run

http://127.0.0.1:5000/copy/1 answers 403. Open http://127.0.0.1:5000/sign-in
"""

from pathlib import Path

from flask import Flask, abort, request, send_file, send_from_directory, session

from flask_delegate import Delegate

app = Flask(__name__)
app.config["DELEGATE_ROOT"] = "/srv/library"
app.config.from_prefixed_env()
Delegate(app)  # the line that was added

BOOKS = Path(app.config["DELEGATE_ROOT"])


@app.before_request
def only_readers():
    if "reader" not in session and request.endpoint != "sign_in":
        abort(403)


@app.get("/sign-in")  # your own sign-in belongs here
def sign_in():
    session["reader"] = 1
    return '<a href="/copy/1">The book</a>'


@app.get("/book/<path:name>")
def book(name):
    return send_from_directory(BOOKS, name, max_age=3600)


@app.get("/copy/<int:number>")
def copy(number):
    path = BOOKS / f"{number}.pdf"
    if not path.exists():
        abort(404)
    return send_file(path, as_attachment=True, download_name=f"Buch Nº {number}.pdf")


@app.get("/borrowed/<path:name>")
def borrowed(name):
    response = send_from_directory(BOOKS, name)
    response.set_cookie("last", name.encode().hex())
    return response
