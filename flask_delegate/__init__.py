"""Flask-Delegate: a view decides who may have a private file; the web server sends it."""

from .decorator import delegated
from .exceptions import (
    AccessDenied,
    ConfigurationError,
    DelegateError,
    FileMissing,
    FileRefused,
    FileUnreadable,
    HandoffUnavailable,
    LostCookies,
    NotAFile,
    PathRefused,
    UnknownArea,
    UnmintedRedirect,
)
from .extension import Delegate
from .handoff import Handoff
from .sending import send_via_apache, signed_url
from .signals import file_delegated, file_refused

__all__ = [
    "AccessDenied",
    "ConfigurationError",
    "Delegate",
    "DelegateError",
    "FileMissing",
    "FileRefused",
    "FileUnreadable",
    "Handoff",
    "HandoffUnavailable",
    "LostCookies",
    "NotAFile",
    "PathRefused",
    "UnknownArea",
    "UnmintedRedirect",
    "delegated",
    "file_delegated",
    "file_refused",
    "send_via_apache",
    "signed_url",
]
