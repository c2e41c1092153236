"""Examples in docstrings: every one runs, and every public function of these packages has one."""

import doctest
import importlib
import inspect
import pkgutil

import numpy as np
import pytest
import torch
from PIL import Image

from monai_xr.dicom import read_header, read_xray
from monai_xr.dicom.writing import PhantomHeader, write_phantom

PACKAGES = ("monai_xr.transforms", "monai_xr.dicom")
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
    for test in doctest.DocTestFinder(exclude_empty=True).find(module, extraglobs=names):
        runner.run(test, out=told.append)
    assert not runner.failures, "".join(told)


@pytest.mark.parametrize("package", PACKAGES)
def test_every_exported_function_has_an_example(package):
    module = importlib.import_module(package)
    functions = {name: getattr(module, name) for name in module.__all__ if inspect.isfunction(getattr(module, name))}
    assert functions
    assert [name for name, function in functions.items() if ">>>" not in (function.__doc__ or "")] == []
