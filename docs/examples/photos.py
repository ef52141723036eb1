"""Two areas: small previews that browsers may keep, and originals for those who paid.

    mkdir -p photos/previews photos/originals
    echo small > photos/previews/1.jpg; echo large > photos/originals/1.tif
    export FLASK_SECRET_KEY="only to try it" PHOTOS="$PWD/photos"
    flask --app photos run

http://127.0.0.1:5000/original/1 answers 403. Open http://127.0.0.1:5000/pay/1
"""

import os

from flask import Flask, session

from flask_delegate import Delegate, Handoff, delegated

ROOT = os.environ["PHOTOS"]

app = Flask(__name__)
app.config.from_prefixed_env()
app.config["DELEGATE_AREAS"] = {
    "previews": {"root": f"{ROOT}/previews", "url": "/inside/previews/"},
    "originals": {"root": f"{ROOT}/originals", "url": "/inside/originals/"},
}
Delegate(app)


@app.get("/pay/<int:number>")  # your own shop belongs here
def pay(number):
    session["paid"] = [*session.get("paid", []), number]
    return f'<a href="/original/{number}">The original</a>'


@app.get("/preview/<int:number>")
@delegated(lambda number: True, area="previews", max_age=86400)
def preview(number):
    return f"{number}.jpg"


def has_paid(number):
    return number in session.get("paid", [])


@app.get("/original/<int:number>")
@delegated(has_paid, area="originals", as_attachment=True)
def original(number):
    return Handoff(f"{number}.tif", download_name=f"Photo {number} (original).tif")
