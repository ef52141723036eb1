"""How texts, numbers and dates are written in a language, and which one a reader gets."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from gettext import NullTranslations
from html.parser import HTMLParser

import pytest
from babel.messages.catalog import Message
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select, update

from portal.accounts import accounts
from portal.core import language
from portal.core.database import db
from portal.core.language import CODES, DEFAULT, Language, current, gettext, lazy_gettext, ngettext
from portal.core.models import Account
from portal.identity.current_user import forget_session, signed_in_account
from portal.web import filters
from tests.support import catalogues, pseudo
from tests.support.portal import REDIRECT, prepare, signed_in, token
from tests.support.statements import statements

OTHERS = [code for code in CODES if code != DEFAULT]
NOON = datetime(2026, 5, 3, 12, 5, tzinfo=UTC)


@pytest.fixture
def app(make_app: Callable[..., Flask], monkeypatch: pytest.MonkeyPatch) -> Flask:
    """Return an application with a second language."""
    pseudo.install(monkeypatch)
    app = make_app()
    prepare(app)
    return app


@pytest.fixture
def english() -> Language:
    return language.load()[DEFAULT]


@pytest.fixture
def other(app: Flask) -> Iterator[None]:
    """Be in a request of somebody who reads the other language."""
    with app.test_request_context(headers={"Accept-Language": pseudo.CODE}):
        yield


def chosen(app: Flask, name: str = "alice") -> str | None:
    with app.app_context():
        return db.session.scalars(select(Account.language).where(Account.name == name)).one()


def choose(client: FlaskClient, code: str) -> int:
    form = {"csrf_token": token(client, "/account"), "language": code}
    return client.post("/account/language", data=form).status_code


def language_of(client: FlaskClient, path: str, **headers: str) -> str:
    found = re.search('<html lang="([^"]+)">', client.get(path, headers=headers).text)
    assert found
    return found[1]


@pytest.mark.parametrize(
    ("number", "written"),
    [(0, "0"), (999, "999"), (1234, "1234"), (12345, "12,345"), (1234567, "1,234,567")],
)
def test_numbers_of_five_digits_are_grouped(number: int, written: str, english: Language) -> None:
    assert english.number(number) == written
    german = Language("de", NullTranslations(), {})
    assert german.number(number) == written.replace(",", ".")


def test_language_names_itself_and_knows_its_months_and_its_decimal_point() -> None:
    german = Language("de", NullTranslations(), {})
    assert (german.name, german.decimal_point) == ("Deutsch", ",")
    assert (german.months[3], german.months[12]) == ("März", "Dez.")
    british = Language("en", NullTranslations(), {})
    assert (british.name, british.decimal_point, british.months[5]) == ("English", ".", "May")


def test_without_an_application_everything_is_english() -> None:
    assert gettext("Sign out") == "Sign out"
    assert gettext("%(name)s is 100 %%", name="x") == "x is 100 %"
    assert ngettext("%(num)s file", "%(num)s files", 12345) == "12,345 files"
    assert current().code == DEFAULT


def test_commands_are_english(app: Flask) -> None:
    with app.app_context():
        assert gettext("Sign out") == "Sign out"


@pytest.mark.usefixtures("other")
def test_texts_sizes_and_dates_are_in_the_language_of_the_request() -> None:
    assert gettext("Sign out") == pseudo.translated("Sign out") == "⟦Sign out oooo⟧"
    assert gettext("%(size)s left", size="1 MiB") == "⟦1 MiB left oo⟧"
    assert ngettext("%(num)s file", "%(num)s files", 1) == "⟦1 file oo⟧"
    assert ngettext("%(num)s file", "%(num)s files", 12345) == "⟦12\u202f345 files ooo⟧"
    assert filters.human_size(1536) == "1,5 KiB"
    assert filters.human_size(2) == "⟦2 bytes ooo⟧"
    assert "⟦3 Maj 2026" in filters.moment(NOON)
    assert "⟦3 Maj 2026" in filters.day(NOON)


def test_lazy_text_is_looked_up_when_it_is_written(app: Flask) -> None:
    lazy = lazy_gettext("Hello %(name)s", name="Jane")
    assert str(lazy) == "Hello Jane"
    with app.test_request_context(headers={"Accept-Language": pseudo.CODE}):
        assert str(lazy).startswith("⟦Hello Jane")
        assert f"{lazy}" == str(lazy)
    assert str(lazy) == "Hello Jane"


@pytest.mark.parametrize(
    ("asked", "got"),
    [
        ("eo", "eo"),
        ("EO", "eo"),
        ("eo-US", "eo"),
        ("eo;q=0.1", "eo"),
        ("en;q=0.1, eo", "eo"),
        ("eo;q=0.1, en", "en"),
        ("xx, eo;q=0.5", "eo"),
        ("en-GB", "en"),
        ("xx", "en"),
        ("eo;q=0", "en"),
        ("*", "en"),
        ("*, eo;q=0.9", "en"),
        ("", "en"),
        (",;q=;;=,", "en"),
        ("eo;q=rubbish", "en"),
        ("\xff\xfe", "en"),
        ("../../etc/passwd", "en"),
        ("x" * 8000, "en"),
        (",".join(["xx-" + "y" * 8] * 700), "en"),
        (",".join(["xx"] * 2500 + ["eo;q=0.3"]), "eo"),
    ],
)
def test_browser_asks_for_a_language(asked: str, got: str, anonymous: FlaskClient) -> None:
    assert language_of(anonymous, "/sign-in", **{"Accept-Language": asked}) == got


@pytest.mark.parametrize(
    ("asked", "code", "said"),
    [
        ("de", "de", "Anmelden"),
        ("de-AT,en;q=0.8", "de", "Anmelden"),
        ("fr,de;q=0.5,en;q=0.4", "de", "Anmelden"),
        ("en,de;q=0.9", "en", "Sign in"),
        ("fr", "en", "Sign in"),
    ],
)
def test_page_is_german_or_english_as_the_browser_asks(
    asked: str, code: str, said: str, make_app: Callable[..., Flask]
) -> None:
    page = make_app().test_client().get("/sign-in", headers={"Accept-Language": asked}).text
    assert f'<html lang="{code}">' in page
    assert f">{said}</button>" in page


def test_who_asks_for_nothing_gets_english(anonymous: FlaskClient) -> None:
    assert language_of(anonymous, "/sign-in") == DEFAULT


def test_account_chooses_its_language_wherever_it_is_signed_in(
    app: Flask, alice: FlaskClient, anonymous: FlaskClient
) -> None:
    assert choose(alice, pseudo.CODE) == REDIRECT
    assert chosen(app) == pseudo.CODE
    for client in (alice, signed_in(app, "alice")):
        for path in ("/", "/account", "/nothing", "/files/nothing"):
            assert language_of(client, path, **{"Accept-Language": "en"}) == pseudo.CODE, path
    assert language_of(anonymous, "/sign-in") == DEFAULT
    assert choose(alice, "") == REDIRECT
    assert chosen(app) is None
    assert language_of(alice, "/", **{"Accept-Language": "en"}) == DEFAULT
    assert language_of(alice, "/", **{"Accept-Language": pseudo.CODE}) == pseudo.CODE
    assert choose(alice, DEFAULT) == REDIRECT
    assert language_of(alice, "/", **{"Accept-Language": pseudo.CODE}) == DEFAULT


@pytest.mark.parametrize("code", OTHERS)
def test_language_is_that_of_whoever_is_signed_in_by_then(
    code: str, app: Flask, alice: FlaskClient
) -> None:
    """Also where something was said before it was known, as a page of an error may."""
    with app.app_context():
        db.session.execute(update(Account).values(language=DEFAULT))
        db.session.commit()
    cookie = alice.get_cookie("session")
    assert cookie
    held = {"Cookie": f"session={cookie.value}", "Accept-Language": code}
    with app.test_request_context("/", headers=held):
        assert current().code == code
        assert signed_in_account()
        assert current().code == DEFAULT
        forget_session()
        assert current().code == code


def test_message_of_the_choice_is_in_the_language_that_was_chosen(alice: FlaskClient) -> None:
    choose(alice, pseudo.CODE)
    assert pseudo.translated("Language changed.") in alice.get("/account").text


def test_languages_are_offered_by_their_own_names(alice: FlaskClient) -> None:
    choose(alice, pseudo.CODE)
    options = re.findall("<option ([^>]*)>([^<]*)</option>", alice.get("/account").text)
    assert [name for _, name in options][1:] == [
        one.name for one in {**language.load(), "eo": pseudo.speak()}.values()
    ]
    assert options[0][0] == 'value=""'
    assert [marks for marks, _ in options if "selected" in marks] == [
        'lang="eo" selected value="eo"'
    ]


def test_nothing_is_offered_where_there_is_one_language(
    make_app: Callable[..., Flask], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("portal.app.load_languages", lambda: {DEFAULT: language.load()[DEFAULT]})
    app = make_app()
    prepare(app)
    assert 'name="language"' not in signed_in(app, "alice").get("/account").text


@pytest.mark.parametrize("code", ["xx", "EO", "eo-US", "e" * 300, "../eo"])
def test_unknown_language_cannot_be_chosen(code: str, app: Flask, alice: FlaskClient) -> None:
    assert choose(alice, code) == 400
    assert chosen(app) is None


def test_language_that_is_not_there_any_more_is_the_browsers(
    app: Flask, alice: FlaskClient
) -> None:
    with app.app_context():
        account = accounts.find("alice")
        assert account
        accounts.set_language(account, "tlh")
    assert language_of(alice, "/account") == DEFAULT
    assert language_of(alice, "/", **{"Accept-Language": pseudo.CODE}) == pseudo.CODE


def test_choice_is_of_the_account_and_of_no_other(
    app: Flask, alice: FlaskClient, bob: FlaskClient
) -> None:
    choose(alice, pseudo.CODE)
    assert chosen(app, "bob") is None
    assert language_of(bob, "/") == DEFAULT


def test_language_asks_the_database_for_nothing(app: Flask, alice: FlaskClient) -> None:
    def asked() -> list[str]:
        with statements(app) as noted:
            assert alice.get("/account").status_code == 200
        return noted

    alice.get("/account")  # so that no message waits
    before = asked()
    choose(alice, pseudo.CODE)
    alice.get("/account")
    assert asked() == before


def test_page_in_another_language_names_what_scripts_say_before_all_other_scripts(
    alice: FlaskClient,
) -> None:
    choose(alice, pseudo.CODE)
    first, second, *_ = re.findall('<script [^>]*src="([^"]+)"', alice.get("/").text)
    assert first.endswith("/languages/eo.js")
    assert second.endswith("/page.js")
    answer = alice.get(first)
    assert answer.mimetype == "text/javascript"
    assert "max-age=31536000" in answer.headers["Cache-Control"]
    assert "/languages/" not in signed_in(alice.application, "bob").get("/").text


def test_scripts_get_their_own_texts_and_no_others(app: Flask) -> None:
    with app.app_context():
        script = language.as_script(language.languages()[pseudo.CODE]).decode()
    found = re.fullmatch(
        r'import \{ speak \} from "../text.js";\nspeak\((\{.*\}), \(n\) => \(n != 1\)\);\n', script
    )
    assert found
    texts = json.loads(found[1])
    assert texts["Nothing selected"] == pseudo.translated("Nothing selected")
    assert texts["%(num)s byte"] == ["⟦%(num)s byte oo⟧", "⟦%(num)s bytes ooo⟧"]
    assert "My account" not in texts


LOOKED_UP = {"gettext", "ngettext", "lazy_gettext"}
PASSING_ON = {"words.py", "language.py"}
"""Modules that look up what others say, or what was recorded."""
CALLS = re.compile(r'(?<!function )\bn?gettext\(\s*("[^"]*")?(?:,\s*("[^"]*"))?')


def test_all_texts_of_scripts_are_found_in_the_code() -> None:
    known = {text for message in catalogues.in_code() for text in forms(message)}
    said = 0
    for path in (catalogues.ROOT / "portal/web/static").glob("*.js"):
        for call in CALLS.finditer(path.read_text(encoding="utf-8")):
            assert call[1], f"{path.name}: {call[0]} has no text of its own"
            assert {json.loads(text) for text in call.groups() if text} <= known, path.name
            said += 1
    assert said > 50


def test_all_texts_of_modules_are_found_in_the_code() -> None:
    """What a call says is not found where it stands in an f-string, or comes from a variable."""
    known = {text for message in catalogues.in_code() for text in forms(message)}
    said = 0
    for path in (catalogues.ROOT / "portal").rglob("*.py"):
        for call in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(call, ast.Call) and getattr(call.func, "id", "") in LOOKED_UP:
                texts = [one.value for one in call.args[:2] if isinstance(one, ast.Constant)]
                if not texts and path.name in PASSING_ON:
                    continue
                assert texts, f"{path.name}, line {call.lineno} has no text of its own"
                assert {one for one in texts if isinstance(one, str)} <= known, path.name
                said += 1
    assert said > 200


def forms(message: Message) -> list[str]:
    """Return the English text, or both of its forms."""
    return [message.id] if isinstance(message.id, str) else list(message.id)


def translations(message: Message) -> list[str]:
    string = message.string or ""
    return [string] if isinstance(string, str) else list(string)


class Tags(HTMLParser):
    """The markup of a text, without what may stand in any order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, object]] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, sorted(attrs, key=str)))

    def handle_endtag(self, tag: str) -> None:
        self.found.append((f"/{tag}", None))


def values(text: str) -> list[str]:
    return sorted(set(re.findall(r"%\(\w+\)s", text)))


def test_values_of_a_text_are_alike_in_its_forms() -> None:
    for message in catalogues.in_code():
        singular, *plural = forms(message) if message.id else [""]
        for text in plural:
            # Of one thing, its number need not be said.
            assert set(values(singular)) | {"%(num)s"} >= set(values(text)), text
            assert set(values(text)) >= set(values(singular)), text


@pytest.mark.parametrize("code", OTHERS)
def test_catalogue_has_the_texts_of_the_code_and_a_translation_for_each(code: str) -> None:
    wanted = {message.id for message in catalogues.in_code() if message.id}
    catalogue = catalogues.read(code)
    found = [message for message in catalogue if message.id]
    assert {message.id for message in found} == wanted, "run scripts/translate"
    assert catalogues.missing(code) == []
    assert [message.id for message in found if message.fuzzy] == []
    assert not catalogue.obsolete
    for message in found:
        if not isinstance(message.id, str):
            assert len(translations(message)) == catalogue.num_plurals, message.id


@pytest.mark.parametrize("code", OTHERS)
def test_translations_have_the_values_and_the_markup_of_the_text(code: str) -> None:
    for message in catalogues.read(code):
        if not message.id:
            continue
        *_, text = forms(message)
        for number, said in enumerate(translations(message)):
            own = forms(message)[0] if number == 0 else text
            # Of one thing, its number need not be said.
            assert {*values(said), "%(num)s"} == {*values(own), "%(num)s"}, said
            assert sorted(Tags(said).found, key=str) == sorted(Tags(own).found, key=str), said
            assert said.count("%%") == own.count("%%"), said
            assert (said == said.strip()) == (own == own.strip()), said


@pytest.mark.parametrize("code", OTHERS)
def test_catalogue_is_as_translate_writes_it(code: str) -> None:
    assert catalogues.path(code).read_bytes() == catalogues.updated(code), "run scripts/translate"


@pytest.mark.parametrize("code", OTHERS)
def test_plurals_of_a_language_are_its_own(code: str) -> None:
    one = language.load()[code]
    for number in (0, 1, 2, 5, 21, 100):
        said = one.translations.ngettext("%(num)s file", "%(num)s files", number)
        assert said not in {"%(num)s file", "%(num)s files"}
