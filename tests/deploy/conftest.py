"""A model whose answers are known by hand, loaded; a small app, and its core run in the process of the test."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from deploy.known import write_model
from small_app import write_small_app

from monai_xr.deploy import accepting, verifying
from monai_xr.deploy.core import load_model, study_steps, writing
from monai_xr.deploy.running_apps import Ended


@pytest.fixture(scope="session")
def small_app(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_small_app(tmp_path_factory.mktemp("apps") / "app")


@pytest.fixture(scope="module")
def quick_reports() -> Iterator[None]:
    """Leave out the pictures, which take most of the time."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("make_capture", "make_presentation"):
            patch.setattr(writing, name, lambda film, model: None)
        yield


@pytest.fixture
def in_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Run the core of the app here, which starts at once and can be made faulty."""
    use_core(monkeypatch)


def use_core(patch: pytest.MonkeyPatch) -> None:

    def run(app: Path, source: Path, output: Path, *, accept_phantoms: bool = False) -> Ended:
        model = load_model(app / "models")
        try:
            studies = list(study_steps.run_folder(source, model, output, accept_phantoms=accept_phantoms))
        except Exception as error:
            return Ended(1, f"Traceback\n{type(error).__name__}")
        return Ended(0, "judged") if studies else Ended(3, "monai_xr: error: no file in it")

    for module in (accepting, verifying):
        patch.setattr(module, "run_app_on", run)


@pytest.fixture(scope="session")
def models(tmp_path_factory):
    return write_model(tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="session")
def model(models):
    return load_model(models)
