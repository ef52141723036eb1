"""The daily backups of a machine alone; a cluster has those of its database and its store."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from deploy import health

FOLDER = Path("/var/backups/portal")
KEPT = 7
"""How many are kept, unless somebody says otherwise."""
SERVICE = "portal-backup.service"


def variables(kept: int, *, in_cluster: bool) -> Mapping[str, object]:
    """Return what the service, the portal and the next installation read."""
    if in_cluster:
        return {}
    return {"BACKUPS": kept, **({"PORTAL_BACKUPS": FOLDER} if kept else {})}


def advice(found: health.Health) -> str:
    """Return what somebody should do about them; empty if nothing."""
    if "backup" not in found.warning:
        return ""
    return (
        f"the last backup in {FOLDER} is older than two days. See what stops it: journalctl"
        f" --unit={SERVICE}"
    )
