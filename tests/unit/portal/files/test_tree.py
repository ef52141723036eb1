"""Queries of the tree end even where a damaged database has folders that contain each other."""

from __future__ import annotations

from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import func, select, update

from portal.core.database import db
from portal.core.models import Folder
from portal.files import tree
from tests.support.portal import make_folder


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
