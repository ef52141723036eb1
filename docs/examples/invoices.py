"""Files under opaque names; the database knows whose they are and what they are called.

    mkdir -p invoices; echo 100 EUR > invoices/9f3a
    python3 -c "import sqlite3; sqlite3.connect('invoices.db').executescript('''
    CREATE TABLE invoice (id INTEGER, customer, title, stored_as);
    INSERT INTO invoice VALUES (1, 'alice', 'Rechnung Nº 1', '9f3a');
    ''')"
    export FLASK_SECRET_KEY="only to try it" FLASK_DELEGATE_ROOT="$PWD/invoices"
    flask --app invoices run

http://127.0.0.1:5000/invoice/1 answers 404. Open http://127.0.0.1:5000/sign-in
"""

import sqlite3

from flask import Flask, current_app, g, session

from flask_delegate import Delegate, Handoff, delegated

app = Flask(__name__)
app.config["DATABASE"] = "invoices.db"
app.config.from_prefixed_env()
app.config["DELEGATE_HEADERS"] = {"X-Frame-Options": "DENY"}
Delegate(app)


@app.get("/sign-in")  # your own sign-in belongs here
def sign_in():
    session["customer"] = "alice"
    return '<a href="/invoice/1">The invoice</a>'


def find(invoice):
    if "invoice" not in g:
        with sqlite3.connect(current_app.config["DATABASE"]) as database:
            query = "SELECT customer, title, stored_as FROM invoice WHERE id = ?"
            g.invoice = database.execute(query, [invoice]).fetchone()
        database.close()
    return g.invoice


def is_own(invoice):
    found = find(invoice)
    return found is not None and found[0] == session.get("customer")


@app.get("/invoice/<int:invoice>")
@delegated(is_own, conceal=True, as_attachment=True)
def download(invoice):
    _, title, stored_as = find(invoice)
    return Handoff(stored_as, download_name=f"{title}.pdf", mimetype="application/pdf")
