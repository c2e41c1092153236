"""Writes a template and its values as a self-contained HTML page that loads nothing and prints well: `render_page`."""

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import jinja2


def render_page(template: Path, **content: Any) -> str:
    """Fill a template; those that extend `page.html.j2` have its head, its style and its foot.

    Args:
        template: The file.
        content: What it shows; text is escaped, and all that the template names must be there.
    """
    return _templates(template.parent).get_template(template.name).render(**content)


@cache
def _templates(folder: Path) -> jinja2.Environment:
    """Give the templates of a folder, each compiled once, which takes longer than most pages."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader([folder, Path(__file__).parent]),
        autoescape=jinja2.select_autoescape(("html.j2",), default=False),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["plain"] = plain
    return environment


def plain(value: Any) -> str:
    """Write a value as it would be typed: no brackets, quotes and None of Python; of a path its last name."""
    if value is None:
        return "none"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {plain(part)}" for name, part in value.items())
    if isinstance(value, list | tuple | set | frozenset):
        return ", ".join(plain(part) for part in value)
    return value.name if isinstance(value, Path) else str(value)
