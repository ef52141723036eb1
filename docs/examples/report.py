"""A report of many lines: written once, and fetched in as many pieces as it takes.

FLASK_SECRET_KEY=… FLASK_DELEGATE_ROOT=/srv/reports flask --app report run
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
