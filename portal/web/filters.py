"""Template filters: sizes, times, types, devices and addresses as people read them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from functools import lru_cache

from flask import Flask
from markupsafe import Markup

from portal.activity import words
from portal.core import language
from portal.core.language import Language, lazy_gettext, ngettext
from portal.core.models import Role

from .name_links import name_link
from .previews import view_type
from .zone import local

_ROLES = {
    Role.MEMBER: lazy_gettext("Member"),
    Role.ADMINISTRATOR: lazy_gettext("Administrator"),
}
_UNITS = ("KiB", "MiB", "GiB", "TiB")
_ICONS = {
    part: name
    for name, parts in (
        ("table", "csv tab-separated-values spreadsheet ms-excel"),
        ("text", "pdf msword wordprocessing opendocument.text rtf"),
        ("archive", "zip x-tar compressed rar"),
    )
    for part in parts.split()
}
"""Icons of MIME types by a part of the subtype, where the main type does not say enough."""

# The order matters: most browsers also name others, for old sites.
_BROWSERS = (
    ("Edg", "Edge"),
    ("OPR/", "Opera"),
    ("SamsungBrowser", "Samsung Internet"),
    ("Firefox/", "Firefox"),
    ("FxiOS", "Firefox"),
    ("CriOS", "Chrome"),
    ("Chromium", "Chromium"),
    ("Chrome/", "Chrome"),
    ("Safari/", "Safari"),
    ("curl/", "curl"),
)
_SYSTEMS = (
    ("iPhone", "iPhone"),
    ("iPad", "iPad"),
    ("Android", "Android"),
    ("CrOS", "ChromeOS"),
    ("Windows", "Windows"),
    ("Mac OS X", "macOS"),
    ("Linux", "Linux"),
)


def init_app(app: Flask) -> None:
    """Register the template filters."""
    filters = (human_size, human_limit, moment, day, icon, device, role, view_type)
    for template_filter in (*filters, words.action, words.detail, words.outcome):
        app.add_template_filter(template_filter)
    app.add_template_global(name_link)


def human_size(size: int) -> str:
    """Return a size, such as ``1.4 MiB``."""
    return _human(size, lambda unit: (20 * size + unit) // (2 * unit))


def human_limit(size: int) -> str:
    """Return a limit, such as ``1.4 MiB``, of which all that is shown is accepted: rounded down.

    Nobody can send a part of a byte: 307.2 MiB, which are 322,122,547.2 bytes, stay what they are.
    """
    return _human(size, lambda unit: (10 * size + 9) // unit)


def human_need(size: int) -> str:
    """Return a size that exceeds a limit, rounded up: it must not read as if it did not."""
    return _human(size, lambda unit: -(-10 * size // unit))


def _human(size: int, tenths_of: Callable[[int], int]) -> str:
    if size < 1024:
        return ngettext("%(num)s byte", "%(num)s bytes", size)
    for power, name in enumerate(_UNITS, 1):
        tenths = tenths_of(1024**power)
        # Rounding must not write almost a MiB as '1024 KiB'.
        if tenths < 10 * 1024 or name == _UNITS[-1]:
            break
    whole, rest = divmod(tenths, 10)
    tenth = f"{language.current().decimal_point}{rest}" if rest else ""
    return f"{whole}{tenth} {name}"


def human_time(time: datetime) -> str:
    """Return a time, such as ``3 May 2026, 14:05 UTC``, in the zone of whoever reads it."""
    there, spoken = local(time), language.current()
    text = spoken.translations.gettext("%(day)s %(month)s %(year)s, %(time)s %(zone)s")
    at = f"{there.hour:02}:{there.minute:02}"
    return text % {**_day(there, spoken), "time": at, "zone": there.tzname()}


def moment(time: datetime) -> Markup:
    """Return :func:`human_time` as HTML."""
    return _as_html(time, human_time(time))


def day(time: datetime) -> Markup:
    """Return a day, such as ``3 May 2026``, in the zone of whoever reads it, as HTML."""
    spoken = language.current()
    text = spoken.translations.gettext("%(day)s %(month)s %(year)s")
    return _as_html(time, text % _day(local(time), spoken))


def _day(there: datetime, spoken: Language) -> Mapping[str, object]:
    return {"day": there.day, "month": spoken.months[there.month], "year": f"{there.year:04}"}


def _as_html(time: datetime, written: str) -> Markup:
    # No time has anything to escape.
    return Markup(f'<time datetime="{time.isoformat(timespec="seconds")}">{written}</time>')  # noqa: S704


@lru_cache(maxsize=256)
def icon(mimetype: str) -> str:
    """Return the icon of a type of files: the name of a picture in ``static/icons/``."""
    main, _, subtype = mimetype.partition("/")
    if main in {"audio", "image", "text", "video"}:
        return _ICONS.get(subtype, main)
    return next((name for part, name in _ICONS.items() if part in subtype), "file")


def role(held: Role) -> str:
    """Return what an account's role is called."""
    return str(_ROLES[held])


def device(user_agent: str) -> str:
    """Return ``Firefox on Linux`` or the like: a hint only, as clients can send anything.

    :param user_agent: the header that the browser sent.
    """
    browser = next((name for mark, name in _BROWSERS if mark in user_agent), None)
    browser = browser or language.gettext("Unknown browser")
    system = next((name for mark, name in _SYSTEMS if mark in user_agent), "")
    if not system:
        return browser
    return language.gettext("%(browser)s on %(system)s", browser=browser, system=system)
