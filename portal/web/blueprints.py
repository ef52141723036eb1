"""Every blueprint of the portal, by area."""

from __future__ import annotations

from portal.web import activity, health
from portal.web.account import account, invitations, sign_in
from portal.web.admin import accounts
from portal.web.files import entries, files, trash, tus
from portal.web.sharing import links, share_page, upload_page

BLUEPRINTS = (
    sign_in.auth,
    account.account,
    account.second_factor_pages,
    invitations.invitation_pages,
    activity.activity,
    accounts.admin,
    files.files,
    files.folders,
    entries.entry_pages,
    trash.trash_pages,
    entries.zip_downloads,
    tus.tus,
    links.link_pages,
    share_page.share_page,
    upload_page.upload_page,
    health.health,
)
