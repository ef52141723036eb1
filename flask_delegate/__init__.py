"""Flask-Delegate: a view decides who may have a private file; the web server sends it."""

from .decorator import delegated as delegated
from .exceptions import AccessDenied as AccessDenied
from .exceptions import ConfigurationError as ConfigurationError
from .exceptions import DelegateError as DelegateError
from .exceptions import FileMissing as FileMissing
from .exceptions import FileRefused as FileRefused
from .exceptions import FileUnreadable as FileUnreadable
from .exceptions import HandoffUnavailable as HandoffUnavailable
from .exceptions import LostCookies as LostCookies
from .exceptions import NotAFile as NotAFile
from .exceptions import NotGenerated as NotGenerated
from .exceptions import PathRefused as PathRefused
from .exceptions import StoreUnavailable as StoreUnavailable
from .exceptions import UnknownArea as UnknownArea
from .exceptions import UnmintedRedirect as UnmintedRedirect
from .extension import Delegate as Delegate
from .handoff import Handoff as Handoff
from .sending import send_via_apache as send_via_apache
from .sending import signed_cookie as signed_cookie
from .sending import signed_url as signed_url
from .signals import file_delegated as file_delegated
from .signals import file_refused as file_refused
from .signals import file_streamed as file_streamed
from .signals import receipt_read as receipt_read
