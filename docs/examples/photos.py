"""Two areas: small previews that browsers may keep, and originals for those who paid.

FLASK_SECRET_KEY=… PHOTOS=/srv/photos flask --app photos run
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
