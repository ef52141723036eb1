"""Members of a club read its minutes; everybody else is asked to sign in.

    mkdir -p club/minutes/2026; echo Welcome. > club/minutes/2026/January.txt
    export FLASK_SECRET_KEY="only to try it" FLASK_DELEGATE_ROOT="$PWD/club"
    flask --app members run

Open http://127.0.0.1:5000/sign-in; the password is below.
"""

from flask import Flask, redirect, request, session, url_for

from flask_delegate import Delegate, delegated

app = Flask(__name__)
app.config.from_prefixed_env()
Delegate(app)

PASSWORD = "a word that members know"  # noqa: S105 -- a real club keeps hashes of passwords


@app.route("/sign-in", methods=["GET", "POST"])
def sign_in():
    if request.form.get("password") == PASSWORD:
        session["member"] = True
        return redirect(url_for("minutes", year=2026, name="January.txt"))
    return (
        '<form method="post"><input type="password" name="password"><button>Sign in</button></form>'
    )


def is_member(year, name):
    return session.get("member", False)


@app.get("/minutes/<int:year>/<name>")
@delegated(is_member, max_age=3600)
def minutes(year, name):
    return f"minutes/{year}/{name}"
