"""What a link to upload asks of its visitors: a name, which nobody checks, and a message."""

from __future__ import annotations

from typing import Any

from wtforms import TextAreaField, ValidationError  # type: ignore[import-untyped]
from wtforms.validators import Length  # type: ignore[import-untyped]

from portal.core import text as texts
from portal.core.language import gettext, lazy_gettext
from portal.core.models import FileRequest, Sender
from portal.core.models.arrival import LONGEST_MESSAGE, LONGEST_SENDER
from portal.web.forms import Form, text

_TOO_LONG = lazy_gettext("Use at most %(longest)s characters.", longest=LONGEST_MESSAGE)


class IntroductionForm(Form):
    """A visitor's name, which is needed where it is asked for, and a message, which may be empty.

    :param link: what it asks is asked; without one, all.
    :param said: what the same visitor said before, if anything.
    """

    # Not "name", which browsers would take for that of an account.
    sender = text(lazy_gettext("Your name"), LONGEST_SENDER, render_kw={"autocomplete": "name"})
    message = TextAreaField(
        lazy_gettext("Message (optional)"),
        [Length(max=LONGEST_MESSAGE, message=_TOO_LONG)],
        filters=[lambda value: texts.several_lines(value or "")],
        render_kw={"rows": 4, "maxlength": LONGEST_MESSAGE},
    )

    def __init__(self, link: FileRequest | None = None, said: Sender | None = None) -> None:
        super().__init__(sender=said.name if said else "", message=said.message if said else "")
        if link and not link.asks_name:
            del self.sender
        if link and not link.asks_message:
            del self.message

    def validate_sender(self, field: Any) -> None:
        """Check that there is a name that can be seen."""
        if not texts.can_be_seen(texts.one_line(field.data)):
            raise ValidationError(gettext("Enter your name."))

    def said(self) -> tuple[str, str]:
        """Return the name and the message."""
        return texts.one_line(self.data.get("sender", "")), self.data.get("message", "")
