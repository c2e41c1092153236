"""Code of a step is what its module reaches: no comment, docstring or other module moves its digest."""

from importlib.metadata import version
from pathlib import Path

import pytest

from monai_xr.workflows.studies import code_of_steps
from monai_xr.workflows.studies.code_of_steps import code_of

FILES = {
    "__init__.py": "",
    "step.py": 'from made_up.deep import used\n\ndef do(work):\n    """Do it."""\n    return used.twice(2)\n',
    "deep/__init__.py": "",
    "deep/used.py": "def twice(x):\n    return 2 * x\n",
    "deep/other.py": "x = 1\n",
    "layer.py": "width = 3\n",
}


def do() -> None:
    """Stand in for the function of a step."""


do.__module__ = "made_up.step"


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name, text in FILES.items():
        file = tmp_path / "made_up" / name
        file.parent.mkdir(exist_ok=True)
        file.write_text(text)
    (tmp_path / "bundle" / "configs").mkdir(parents=True)
    (tmp_path / "bundle" / "configs" / "train.yaml").write_text("network: {_target_: made_up.layer.Layer}  # one\n")
    monkeypatch.setattr(code_of_steps, "_ROOT", tmp_path)
    monkeypatch.setattr(code_of_steps, "_PACKAGE", "made_up")
    monkeypatch.setattr(code_of_steps, "_NAME", code_of_steps.re.compile(r"made_up(?:\.\w+)+"))
    monkeypatch.setattr(code_of_steps, "find_bundle", lambda name: tmp_path / name)
    return tmp_path


def code(bundle: str = "") -> str:
    code_of_steps._read.cache_clear()
    code_of_steps._digest.cache_clear()
    return code_of(do, {"bundle": bundle})["code"]


def test_another_version_of_a_library_that_computes_moves_it(package: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = code()
    monkeypatch.setattr(code_of_steps, "version", lambda name: "0.1" if name == "torch" else version(name))
    assert code() != before


@pytest.mark.parametrize(
    ("file", "before", "after", "bundle", "moves"),
    [
        ("made_up/step.py", "Do it.", "Do it well.", "", False),
        ("made_up/step.py", "twice(2)", "twice(2)  # as in the paper", "", False),
        ("made_up/step.py", "twice(2)", "twice(3)", "", True),
        ("made_up/deep/used.py", "2 * x", "3 * x", "", True),
        ("made_up/deep/other.py", "1", "2", "", False),
        ("made_up/layer.py", "3", "4", "", False),
        ("made_up/layer.py", "3", "4", "bundle", True),
        ("bundle/configs/train.yaml", "# one", "# two", "bundle", False),
        ("bundle/configs/train.yaml", "network:", "net:", "bundle", True),
    ],
)
def test_the_digest_moves_with_what_is_reached_alone(
    package: Path, file: str, before: str, after: str, bundle: str, moves: bool
) -> None:
    first = code(bundle)
    text = (package / file).read_text()
    assert before in text
    (package / file).write_text(text.replace(before, after))
    assert (code(bundle) != first) is moves


def test_a_function_of_another_package_has_the_code_of_none(tmp_path: Path) -> None:
    def elsewhere() -> None: ...

    elsewhere.__module__ = "somebody.else_"
    assert code_of(elsewhere, {})["version"] == code_of_steps.monai_xr.__version__
