"""Fixtures that every test may use: the optional folder of real X-rays, and the command line."""

import io
import logging
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

import pydicom
import pytest
from plain_command import PlainCommand

from monai_xr.cli import main
from monai_xr.data.deidentifying import job as deidentification_job
from monai_xr.data.deidentifying import pixel_text
from monai_xr.data.phantoms import studies
from monai_xr.process import settle

SLOW = (  # that start trainings, servers, readers of text, whole commands, or hundreds of drawn cases
    "bundles",
    "cli",
    "data/deidentifying/test_deidentification_faults",
    "data/deidentifying/test_pixel_text",
    "data/phantoms",
    "data/preparing/test_prepare_folder_kills",
    "deploy/test_accepting",
    "deploy/test_anogan",
    "deploy/test_exporting",
    "deploy/test_verifying",
    "dicom/deidentification/test_streams",
    "dicom/deidentification/test_text_in_pixels",
    "dicom/sandbox/test_confinement",
    "dicom/sandbox/test_isolated_reading",
    "dicom/sandbox/test_same_film",
    "dicom/test_reading_encodings",
    "dicom/test_reading_properties",
    "end_to_end",
    "engines/test_classifier_engine",
    "handlers/checkpointing",
    "handlers/health/test_health_of_trainings",
    "handlers/tracking",
    "metrics/test_intervals_coverage",
    "metrics/test_spaces",
    "pacs/test_intake",
    "pacs/test_processing",
    "pacs/test_querying",
    "pacs/test_receiver",
    "pacs/test_retrieving.py",
    "pacs/test_sending",
    "pacs/test_site_doctor",
    "pacs/test_studying",
    "prove",
    "test_imports",
    "workflows/judging_measures",
    "workflows/judging_images/test_evaluation",
    "workflows/test_aiin_picture",
)

SLOW_FIXTURES = {"plain_command", "real_data", "score_of_ours"}  # MONAI's command, many real films, a reader of text


def _is_slow(path: Path) -> bool:
    here = Path(__file__).parent
    return path.is_relative_to(here) and path.relative_to(here).as_posix().startswith(SLOW)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark slow tests by where they are: `pytest -m "not slow"` leaves them out."""
    for item in items:
        if _is_slow(item.path) or not SLOW_FIXTURES.isdisjoint(getattr(item, "fixturenames", ())):
            item.add_marker(pytest.mark.slow)


def pytest_collection_finish() -> None:
    """Settle the process as a command does: what is imported is never looked through again."""
    settle()


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Import no file of slow tests where they are left out: MLflow, exporters and readers of text take seconds."""
    return True if config.option.markexpr == "not slow" and _is_slow(collection_path) else None


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(item: pytest.Item) -> Iterator[None]:
    """Keep the name of a removed `tmp_path` taken: caches of this process know folders and databases by their path."""
    yield
    if folder := getattr(item, "funcargs", {}).get("tmp_path"):
        folder.mkdir(exist_ok=True)


@pytest.fixture(scope="session", autouse=True)
def _key_of_the_tests(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Ids are hashed with a key of the tests, which have a cache of their own; processes that they start take both."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MONAI_XR_KEY", str(tmp_path_factory.mktemp("key") / "site.key"))
        patch.setenv("MONAI_XR_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="session", autouse=True)
def _each_phantom_is_drawn_once() -> Iterator[None]:
    """The same arguments give the same pixels, and many folders of the tests are made of the same phantoms."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(studies, "make_phantom", lru_cache(256)(studies.make_phantom))
        yield


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Folder of real X-rays, named by MONAI_XR_DATA; tests that need it skip where it is absent."""
    folder = Path(os.environ.get("MONAI_XR_DATA", Path(__file__).parents[2] / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip("no folder of real X-rays: set MONAI_XR_DATA")
    return folder


@pytest.fixture(scope="session")
def mlflow_store(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Path], str]:
    """Puts `mlflow.db` with its tables, which take seconds to make, into a folder; gives what MLflow calls it."""
    from mlflow.tracking import MlflowClient

    made = tmp_path_factory.mktemp("tables") / "mlflow.db"
    MlflowClient(tracking_uri=f"sqlite:///{made}").search_experiments()

    def put(folder: Path) -> str:
        folder.mkdir(parents=True, exist_ok=True)
        return f"sqlite:///{shutil.copy(made, folder / made.name)}"

    return put


@pytest.fixture(scope="session")
def plain_command(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PlainCommand]:
    """Runs `python -m monai.bundle run` in a folder with some arguments."""
    command = PlainCommand(tmp_path_factory.mktemp("plain"))
    yield command
    command.close()


def look_at_header(image: bytes, folder: Path, **options: Any) -> pixel_text.Looked:
    """Look at a film that is too small to be looked at: its header tells what is found."""
    said = pydicom.dcmread(io.BytesIO(image), stop_before_pixels=True).get("BurnedInAnnotation")
    return pixel_text.Looked("" if said in ("NO", "YES") else pixel_text.TEXT_FOUND)


@pytest.fixture(autouse=True)
def _text_as_the_header_says(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Films of the tests are too small to look at, and quick: those with BurnedInAnnotation NO or YES show no text.

    A test that asks for `really_looked_at` has its films looked at.
    """
    if "really_looked_at" in request.fixturenames:
        return

    monkeypatch.setattr(deidentification_job, "looked_at", look_at_header)


@pytest.fixture
def really_looked_at() -> None:
    """Have the pixels looked at by the extra `ocr`."""
    pytest.importorskip("rapidocr", reason="the extra ocr is not installed")
    pytest.importorskip("onnxruntime", reason="the extra ocr is not installed")


@pytest.fixture(autouse=True)
def _logging_as_it_was() -> Iterator[None]:
    """Bundles configure the root logger with the streams of their test, which are closed after it."""
    handlers, level = logging.root.handlers[:], logging.root.level
    yield
    logging.root.handlers[:], logging.root.level = handlers, level


@pytest.fixture
def monai_xr(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Any:
    """Run the command line in an empty folder; give exit code, output and error text."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments: Any) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["monai-xr", *map(str, arguments)])
        code: Any = 0
        try:
            main()
        except SystemExit as stop:
            code = stop.code or 0
        told = capsys.readouterr()
        return code, told.out, told.err

    return run
