"""Examples in docstrings: every one runs, and every public function of these packages has one."""

import ast
import doctest
import importlib
import inspect
import pkgutil
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from monai_xr.dicom import read_header, read_xray
from monai_xr.dicom.writing import PhantomHeader, write_phantom

ROOT = Path(__file__).parents[1]
PACKAGES = ("monai_xr.transforms", "monai_xr.metrics", "monai_xr.dicom")
NEED_WEIGHTS = {"classifier_space", "inception_space", "timm_space", "xrv_space", "look_for_text"}
MODULES = [
    module.name
    for package in PACKAGES
    for module in pkgutil.walk_packages(importlib.import_module(package).__path__, f"{package}.")
]
WITH_EXAMPLES = [name for name in MODULES if not name.endswith(".worker")]


@pytest.fixture(scope="module")
def names(tmp_path_factory):
    """What examples may use: numpy, torch, the file of a phantom, a folder of four films, a folder for caches."""
    folder = tmp_path_factory.mktemp("examples")
    pixels = np.random.default_rng(0).random((32, 32), np.float32)
    header = PhantomHeader("SYNTH-1", "F", 60, "study", "film", spacing_mm=0.5)
    write_phantom(folder / "film.dcm", pixels, header)
    for number in range(4):
        film = folder / "films" / ("NORMAL", "PNEUMONIA")[number // 2] / f"{number}.png"
        film.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray((np.roll(pixels, number) * 255).astype(np.uint8)).save(film)
    readers = {"read_header": read_header, "read_xray": read_xray}
    paths = {"film": folder / "film.dcm", "films_dir": folder / "films", "cache_dir": folder / "cache"}
    return {"np": np, "torch": torch, **readers, **paths}


@pytest.mark.parametrize("name", WITH_EXAMPLES)
def test_examples_of_a_module_give_what_they_show(name, names):
    module = importlib.import_module(name)
    runner, told = doctest.DocTestRunner(optionflags=doctest.NORMALIZE_WHITESPACE), []
    for shown, thing in vars(module).items():
        thing = inspect.unwrap(thing) if callable(thing) else None  # doctest passes over what is wrapped
        if getattr(thing, "__module__", None) == name and (inspect.isfunction(thing) or inspect.isclass(thing)):
            for test in doctest.DocTestFinder().find(thing, shown, module, {**vars(module), **names}):
                runner.run(test, out=told.append)
    assert not runner.failures, "".join(told)
    assert runner.tries == len(re.findall(r"\n +>>> ", inspect.getsource(module)))


def public_names(package):
    """What a package exports, and what modules outside of it import from its modules, as (module, name)."""
    yield from ((package, name) for name in importlib.import_module(package).__all__)
    inside = ROOT.joinpath(*package.split("."))
    for path in (each for each in ROOT.glob("monai_xr/**/*.py") if not each.is_relative_to(inside)):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and f"{node.module}.".startswith(f"{package}."):
                yield from ((node.module, alias.name) for alias in node.names)


@pytest.mark.parametrize("package", PACKAGES)
def test_every_public_function_has_an_example(package):
    named = (getattr(importlib.import_module(module), name) for module, name in public_names(package))
    functions = {each.__name__: each.__doc__ or "" for each in named if inspect.isfunction(each)}
    assert len(functions) > 5
    assert sorted(name for name, text in functions.items() if ">>>" not in text and name not in NEED_WEIGHTS) == []
