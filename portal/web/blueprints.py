"""Every blueprint of the portal, by area."""

from __future__ import annotations

from portal.web import activity, admin, health
from portal.web.account import account, sign_in
from portal.web.files import entries, files, trash, tus
from portal.web.sharing import links, visitors

BLUEPRINTS = (
    *(sign_in.auth, account.account, account.second_factor_pages, sign_in.invitation_pages),
    *(activity.activity, admin.admin, health.health),
    *(files.files, files.folders, entries.entry_pages, entries.zip_downloads),
    *(trash.trash_pages, tus.tus),
    *(links.link_pages, visitors.share_page, visitors.upload_page),
)
