"""Digests the code that does a step, such that comments and code it does not use change nothing: `code_of`.

The digest is over the modules of the package that the function's module imports, at any depth, over the config files
of a bundle and what they name (their syntax, without comments and docstrings), and over the versions of the libraries
that compute.
"""

import ast
import json
import re
from collections.abc import Callable, Iterator, Mapping
from functools import cache, partial
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path
from typing import Any

import yaml

import monai_xr
from monai_xr.runs.provenance import commit
from monai_xr.workflows.bundle_running.bundle_folders import find_bundle

_PACKAGE = monai_xr.__name__
_COMPUTE = ("torch", "numpy", "scipy", "scikit-learn", "timm", "monai")
_ROOT = Path(monai_xr.__file__).parents[1]
_CARRIED_OUT = f"{_PACKAGE}.workflows.studies.steps"  # runs every kind of step, and decides nothing in any
_NAME = re.compile(rf"{_PACKAGE}(?:\.\w+)+")


def code_of(function: Callable[..., Any], settings: Mapping[str, Any]) -> dict[str, str]:
    """Give version and commit of the package, and the digest of the code of a step.

    Args:
        function: That does it.
        settings: Of the step; a bundle in it is code, too.
    """
    done_by = function.func if isinstance(function, partial) else function
    bundle = str(settings.get("bundle", ""))
    return {"version": monai_xr.__version__, "commit": _commit(), "code": _digest(done_by.__module__, bundle)}


@cache
def _commit() -> str:
    return commit()


@cache
def _digest(module: str, bundle: str) -> str:
    configs = _configs(bundle) if bundle else ""
    found, left = dict[str, str](), [module, *_NAME.findall(configs)]
    while left:
        name = _module_in(left.pop())
        if name not in ("", _CARRIED_OUT, *found):
            found[name], imported = _read(name)
            left += imported
    return sha256(json.dumps([configs, sorted(found.items()), *map(version, _COMPUTE)]).encode()).hexdigest()[:16]


def _configs(bundle: str) -> str:
    """Give what the config files of a bundle say, without comments."""
    files = sorted((find_bundle(bundle) / "configs").glob("*.yaml"))
    return json.dumps({file.name: yaml.safe_load(file.read_text(encoding="utf-8")) for file in files}, default=str)


def _path(name: str) -> Path | None:
    base = _ROOT.joinpath(*name.split("."))
    return next((path for path in (base.with_suffix(".py"), base / "__init__.py") if path.is_file()), None)


def _module_in(name: str) -> str:
    """Give the module that a dotted name is of; "" for one of another package."""
    while name.split(".")[0] == _PACKAGE:
        if _path(name):
            return name
        name = name.rpartition(".")[0]
    return ""


@cache
def _read(name: str) -> tuple[str, tuple[str, ...]]:
    """Give the digest of a module and the names that it imports."""
    path = _path(name)
    assert path is not None  # noqa: S101 - of `_module_in`
    tree = ast.parse(path.read_bytes())
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if isinstance(body, list) and body and _is_docstring(body[0]):
            body[0].value = ast.Constant(None)
    return sha256(ast.dump(tree).encode()).hexdigest(), tuple(_imported(tree))


def _is_docstring(node: ast.AST) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)


def _imported(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (each.name for each in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield from (f"{node.module}.{each.name}" for each in node.names)
            yield node.module
