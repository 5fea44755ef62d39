"""HTML pages that are one file each and open offline, in light or dark mode, on a phone or a desktop."""

import platform
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

import jinja2

TEMPLATES = Path(__file__).parent / "templates"


def render(template: Path, **values: Any) -> str:
    """Return the HTML of a template that extends base.html.j2; values are escaped."""
    loader = jinja2.FileSystemLoader([template.parent, TEMPLATES])
    environment = jinja2.Environment(autoescape=True, loader=loader)
    return environment.get_template(template.name).render(**values)


def describe_environment(libraries: Sequence[str]) -> dict[str, str]:
    """Return the versions of Python, the operating system and the libraries."""
    versions = {name: metadata.version(name) for name in libraries}
    return {"python": platform.python_version(), "machine": platform.platform(), **versions}
