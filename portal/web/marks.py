"""Where a page of a list begins: after an item, which may have left the list since."""

from __future__ import annotations


def end_or_beginning(is_end: bool, *, is_lost: bool = False) -> str:
    """Return which part of a list is shown in place of a page; none: the page is what was asked.

    :param is_end: whether nothing was left of it.
    :param is_lost: whether the item that it was to begin after is not there any more.
    """
    if is_end:
        return "end"
    return "beginning" if is_lost else ""
