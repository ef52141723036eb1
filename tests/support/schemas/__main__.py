"""Write the database of the newest revision from the one before it."""

from __future__ import annotations

import sqlite3
import tempfile
from contextlib import closing
from pathlib import Path

from portal import create_app
from portal.core import database

from . import FOLDER, REVISIONS, load

with tempfile.TemporaryDirectory() as name:
    data = Path(name).resolve() / "data"
    load(REVISIONS[-1], data)
    app = create_app({"DATA": str(data)})
    with app.app_context():
        _, newest = database.upgrade()
        database.db.engine.dispose()
    with closing(sqlite3.connect(data / "portal.db")) as connection:
        text = "\n".join(connection.iterdump())
    (FOLDER / f"{newest}.sql").write_text(f"{text}\n", encoding="utf-8")
