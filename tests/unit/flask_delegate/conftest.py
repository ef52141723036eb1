from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from flask import Flask

from flask_delegate import Delegate
from tests.support.extension import SECRET, BufferingClient, Factory


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path.resolve() / "files"
    folder.mkdir()
    (folder / "report.txt").write_bytes(b"private content\n")
    return folder


@pytest.fixture
def make_app(root: Path) -> Factory:
    """Create applications that are set up with the extension."""

    def make(**settings: Any) -> Flask:
        app = Flask("under_test", static_folder=None)
        app.test_client_class = BufferingClient
        app.config.update({"SECRET_KEY": SECRET, "DELEGATE_ROOT": root, **settings})
        Delegate(app)
        return app

    return make


@pytest.fixture
def app(make_app: Factory) -> Flask:
    return make_app()
