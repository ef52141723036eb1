"""Queries of the tree end even where a damaged database has folders that contain each other."""

from __future__ import annotations

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import func, select, update

from portal.core.database import db
from portal.core.models import Folder
from portal.files import entries, tree
from tests.support.portal import make_folder


def test_nothing_is_kept_of_a_change_that_failed(app: Flask, alice: FlaskClient) -> None:
    make_folder(alice, "Folder")
    with app.app_context():
        folder = db.session.scalars(select(Folder).where(Folder.name == "Folder")).one()

        def fail() -> None:
            with entries.changing(folder.owner_id):
                folder.name = "Other"
                db.session.flush()
                tree.check_depth(tree.DEEPEST + 1)

        with pytest.raises(tree.TooDeepError):
            fail()
        db.session.commit()
        names = select(Folder.name).where(Folder.parent_id.is_not(None))
        assert db.session.scalars(names).all() == ["Folder"]


def test_a_cycle_of_folders_ends_every_walk(app: Flask, alice: FlaskClient) -> None:
    make_folder(alice, "inner", page=make_folder(alice, "outer"))
    with app.app_context():
        ids = {folder.name: folder.id for folder in db.session.scalars(select(Folder))}
        outer = update(Folder).where(Folder.id == ids["outer"])
        db.session.execute(outer.values(parent_id=ids["inner"]))
        db.session.commit()

        path = tree.path_to(ids["inner"])
        assert len(path) == tree._ENDLESS + 1
        assert {step.id for step in path} == {ids["inner"], ids["outer"]}
        below = tree.descendants([ids["inner"]])
        found = db.session.execute(select(func.count(), func.max(below.c.depth))).one()
        assert tuple(found) == (tree._ENDLESS + 1, tree._ENDLESS)
        assert tree.height(ids["inner"]) == tree._ENDLESS + 1
