"""A hospital's site in a folder for tests, and the hand that puts films into its store."""

import io
import sys
from pathlib import Path
from typing import Any

import numpy as np
from pydicom.dataset import Dataset

from monai_xr.pacs.index import Index, StudyRow
from monai_xr.pacs.processing import Processing
from monai_xr.pacs.site import Site
from monai_xr.pacs.storing import Answer, ObjectStore

WORKER = (sys.executable, "-P", str(Path(__file__).with_name("quick_study_worker.py")))
SIDE = 24


def site_in(folder: Path, **sections: Any) -> Site:
    """A site that takes films up at once, small ones, and phantoms."""
    content: dict[str, Any] = {
        "store": {"folder": "store", "min_free_gb": 0},
        "queue": {"quiet_s": 0, "backoff_s": 0, "tries": 3, "workers": 2},
        "deidentification": {"folder": "clean", "key": "secret.key", "accept_phantoms": True},
        "dataset": {"folder": "data", "size": 16, "build_every_s": 0},
    }
    for name, values in sections.items():
        content[name] = {**content[name], **values} if isinstance(content.get(name), dict) else values
    return Site.model_validate(content, context={"folder": folder})


def chest(number: int, *, study: int | None = None, patient: int | None = None, **tags: Any) -> Dataset:
    """A frontal film with pixels of its own."""
    study, patient = number if study is None else study, number if patient is None else patient
    ds = Dataset()
    ds.SOPClassUID, ds.SOPInstanceUID = "1.2.840.10008.5.1.4.1.1.1", f"1.2.3.{number}.9"
    ds.StudyInstanceUID, ds.SeriesInstanceUID = f"1.2.4.{study}", f"1.2.5.{study}"
    ds.PatientID, ds.PatientName, ds.Modality, ds.ViewPosition = f"P{patient}", f"Doe^No{patient}", "CR", "PA"
    ds.BodyPartExamined, ds.BurnedInAnnotation, ds.StudyDate = "CHEST", "NO", "20240229"
    ds.Rows = ds.Columns = SIDE
    ds.SamplesPerPixel, ds.PhotometricInterpretation = 1, "MONOCHROME2"
    ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 16, 12, 11, 0
    for keyword, value in tags.items():
        setattr(ds, keyword, value)
    pixels = np.random.default_rng(number).integers(0, 4096, (SIDE, SIDE), dtype="<u2")
    ds.add_new(0x7FE00010, "OW", pixels.tobytes())
    return ds


def body(ds: Dataset) -> bytes:
    """The data set as a peer sends it, in explicit little endian."""
    stream = io.BytesIO()
    ds.save_as(stream, implicit_vr=False, little_endian=True, enforce_file_format=False)
    return stream.getvalue()


def receive(site: Site, *films: Dataset | tuple[Dataset, bytes], syntax: str = "1.2.840.10008.1.2.1") -> list[Answer]:
    """Put films into the store of a site, as `serve` does."""
    store = ObjectStore(site.store)
    answers = []
    for film in films:
        ds, data = film if isinstance(film, tuple) else (film, body(film))
        spooled = store.spool(
            sop_class=str(ds.SOPClassUID), sop_uid=str(ds.SOPInstanceUID), transfer_syntax=syntax, sender="PACS"
        )
        spooled.write(data)
        answers.append(store.add(spooled))
    store.close()
    return answers


def work(site: Site, **options: Any) -> list[str]:
    """Work until nothing is left to do; give what was told."""
    told: list[str] = []
    processing = Processing(site, tell=told.append, command=WORKER, **options)
    try:
        processing.run(once=True)
    finally:
        processing.close()
    return told


def studies(site: Site) -> dict[tuple[str, int], StudyRow]:
    """All versions of studies by UID and version."""
    index = Index(site.store.folder / "index.db")
    rows = {(row.study_uid, row.version): row for row in index.studies()}
    index.close()
    return rows


def images(site: Site, data_set: str = "main") -> list[Path]:
    """The de-identified films that may go out."""
    assert site.deidentification
    return sorted((site.deidentification.folder / data_set / "images").glob("*/*.dcm"))


def manifest(site: Site, data_set: str = "main") -> list[str]:
    """Rows of the data set."""
    assert site.dataset
    path = site.dataset.folder / data_set / "manifest.csv"
    return path.read_text().splitlines()[1:] if path.exists() else []
