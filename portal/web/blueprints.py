"""Every blueprint of the portal, by area."""

from __future__ import annotations

from portal.web import health
from portal.web.account import account, activity, invitations, second_factor, sign_in
from portal.web.admin import accounts
from portal.web.files import entries, files, folders, trash, tus, zips
from portal.web.sharing import file_requests, share_page, shares, upload_page

BLUEPRINTS = (
    sign_in.auth,
    account.account,
    second_factor.second_factor_pages,
    invitations.invitation_pages,
    activity.activity,
    accounts.admin,
    files.files,
    folders.folders,
    entries.entry_pages,
    trash.trash_pages,
    zips.archive_pages,
    tus.resumable,
    shares.shares,
    file_requests.file_requests,
    share_page.visitors,
    upload_page.uploaders,
    health.health,
)
