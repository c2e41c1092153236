"""Where the tests of a module are: a test file mirrors a module or a package by its folder and its name."""

from pathlib import Path

TESTS = Path(__file__).parent
PACKAGE = TESTS.parent / "monai_xr"
OF_NO_MODULE = (  # whole commands and walks, what the repository holds beside the package
    "bench",
    "bundles",
    "cli",
    "end_to_end",
    "prove",
    "test_configs.py",
    "test_docker.py",
    "test_examples.py",
    "test_imports.py",
    "test_layout.py",
    "test_makefile.py",
    "test_sizes.py",
)
FILES = [path.relative_to(TESTS) for path in sorted(TESTS.rglob("test_*.py"))]
MIRRORED = [path for path in FILES if path.parts[0] not in OF_NO_MODULE]


def names(folder: Path) -> set[str]:
    packages = {path.parent.name for path in folder.glob("*/__init__.py")}
    return packages | {path.stem for path in folder.glob("*.py")} - {"__init__"}


def mirrors(path: Path) -> bool:
    told = path.stem.removeprefix("test_") + "_"
    return any(told.startswith(name + "_") for name in names(PACKAGE / path.parent))


def test_each_test_file_begins_with_the_name_of_a_module_beside_it():
    assert len(MIRRORED) > 150
    assert [path.as_posix() for path in MIRRORED if not mirrors(path)] == []


def test_what_is_of_no_module_is_there():
    assert [name for name in OF_NO_MODULE if not (TESTS / name).exists()] == []
