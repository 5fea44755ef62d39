"""Pages in one file that open offline, in light and dark, on a phone and on a desk."""

import platform
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

import jinja2

TEMPLATES = Path(__file__).parent / "templates"


def render(template: Path, **values: Any) -> str:
    """Return the page of a template that extends base.html.j2; values are escaped."""
    loader = jinja2.FileSystemLoader([template.parent, TEMPLATES])
    page = jinja2.Environment(autoescape=True, loader=loader)
    return page.get_template(template.name).render(**values)


def describe_environment(libraries: Sequence[str]) -> dict[str, str]:
    """Return the versions of Python, the system and the libraries."""
    versions = {name: metadata.version(name) for name in libraries}
    return {"python": platform.python_version(), "machine": platform.platform(), **versions}
