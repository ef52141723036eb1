"""What the database holds."""

from __future__ import annotations

from .account import Account, OneTimeLink, RecoveryCode, Role, SignIn
from .activity import Activity, LogPosition, Receipt, Via
from .arrival import Arrival, Sender
from .base import Base, hash_token, new_token, now
from .entry import Entry, Folder, StoredFile
from .fact import Fact
from .seen_day import SeenDay
from .share import FileRequest, Share, ShareDownload
from .thumbnail import Thumbnail
from .upload import CancelledUpload, Upload, UploadPiece

__all__ = [
    "Account",
    "Activity",
    "Arrival",
    "Base",
    "CancelledUpload",
    "Entry",
    "Fact",
    "FileRequest",
    "Folder",
    "LogPosition",
    "OneTimeLink",
    "Receipt",
    "RecoveryCode",
    "Role",
    "SeenDay",
    "Sender",
    "Share",
    "ShareDownload",
    "SignIn",
    "StoredFile",
    "Thumbnail",
    "Upload",
    "UploadPiece",
    "Via",
    "hash_token",
    "new_token",
    "now",
]
