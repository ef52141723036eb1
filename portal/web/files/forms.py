"""What pages of files ask for, in forms and in addresses."""

from __future__ import annotations

from wtforms import SelectMultipleField  # type: ignore[import-untyped]
from wtforms.validators import DataRequired  # type: ignore[import-untyped]

from portal.files import names
from portal.files.listing import SORTS, Direction, Order
from portal.files.tree import RefusedError
from portal.web.forms import Form, Query, name_in_url, text


class NameForm(Form):
    """A name for a file or folder."""

    name = text("Name", 255, DataRequired("Enter a name."))

    def wanted(self) -> str:
        """Return the name, without what no name can have.

        :raises RefusedError: for none, or one that is too long.
        """
        if not self.validate():
            raise RefusedError(self.name.errors[0])
        return names.clean(self.name.data)


class UndoForm(Form):
    """The moment whose move to the trash is undone."""

    moment = text("Moment", 64)


class SearchQuery(Query):
    """A part of a name."""

    q = text("Search all my files by name", 255)


class ListQuery(Query):
    """Which page of a list, and how it is sorted."""

    sort = text("Sort by", 8)
    order = text("Order", 16)
    before = name_in_url("Before")
    after = name_in_url("After")
    select = text("Select", 8)

    def sorting(self) -> Order:
        """Return the order; by name, if there is no other."""
        if self.sort.data not in SORTS:
            return Order()
        return Order(self.sort.data, self.order.data == "descending")

    def place(self) -> tuple[Direction, str]:
        """Return on which side of which entry the page is."""
        return ("before", self.before.data) if self.before.data else ("after", self.after.data)


class SelectionQuery(Query):
    """Files and folders that were selected, and where to move them."""

    entry = SelectMultipleField(validate_choice=False)
    folder = name_in_url("Folder")
    after = name_in_url("After")
