"""A report of many lines: written once, and fetched in as many pieces as it takes.

    mkdir -p reports
    export FLASK_SECRET_KEY="only to try it" FLASK_DELEGATE_ROOT="$PWD/reports"
    export FLASK_LINES=3000000
    flask --app report run

http://127.0.0.1:5000/report/2026.csv answers 403. Open http://127.0.0.1:5000/sign-in
"""

import csv
import io

from flask import Flask, abort, session

from flask_delegate import Delegate
from flask_delegate.generated import send_generated

app = Flask(__name__)
app.config["LINES"] = 30_000_000  # about 1 GB
app.config.from_prefixed_env()
Delegate(app)


def write_report(file, year):
    text = io.TextIOWrapper(file, "utf-8", newline="")
    report = csv.writer(text)
    report.writerow(["number", "year", "amount"])
    for number in range(app.config["LINES"]):
        report.writerow([number, year, f"{number * 7919 % 100_000_000_000}.00 EUR"])
    text.detach()  # it writes the rest, and leaves the file open


@app.get("/sign-in")  # your own sign-in belongs here
def sign_in():
    session["accountant"] = True
    return '<a href="/report/2026.csv">The report</a>'


@app.get("/report/<int:year>.csv")
def report(year):
    if "accountant" not in session:
        abort(403)
    return send_generated(
        lambda file: write_report(file, year),
        key=f"report {year}",
        download_name=f"report-{year}.csv",
        as_attachment=True,
    )
