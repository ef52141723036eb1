"""Sphinx's configuration for this site: ``scripts/docs`` builds it."""

import sys
import tomllib
from pathlib import Path

REPOSITORY = Path(__file__).parents[1]
sys.path.insert(0, str(REPOSITORY))

project = "Flask-Delegate"
with (REPOSITORY / "pyproject.toml").open("rb") as file:
    version = release = tomllib.load(file)["project"]["version"]
project_copyright = "the authors of Flask-Delegate; MIT license"

extensions = ["myst_parser", "pallets_sphinx_themes", "sphinx.ext.autodoc"]
source_suffix = {".md": "markdown"}
root_doc = "index"
myst_heading_anchors = 3

autodoc_member_order = "bysource"
autodoc_typehints = "description"
autodoc_typehints_description_target = "documented"

html_theme = "flask"
html_title = f"Flask-Delegate {version}"
html_static_path = ["static"]
html_css_files = ["site.css"]
html_sidebars = {"**": ["globaltoc.html", "searchbox.html"]}
html_theme_options = {"globaltoc_maxdepth": 2}
html_show_sourcelink = False
html_copy_source = False
html_domain_indices = False
version_banner = False  # it would ask a package index
