"""A library that was there before: its views call Flask's own functions, and are as they were.

FLASK_SECRET_KEY=… FLASK_DELEGATE_ROOT=/srv/library FLASK_DELEGATE_SEND_FILE=true \
    flask --app library run
"""

from pathlib import Path

from flask import Flask, abort, send_file, send_from_directory, session

from flask_delegate import Delegate

app = Flask(__name__)
app.config["DELEGATE_ROOT"] = "/srv/library"
app.config.from_prefixed_env()
Delegate(app)  # the line that was added

BOOKS = Path(app.config["DELEGATE_ROOT"])


@app.before_request
def only_readers():
    if "reader" not in session:
        abort(403)


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
