"""Writes a folder of phantom studies with labels, from a seed and a number of patients: `write_phantom_studies`.

Three kinds of folder: DICOM with `labels.csv`, DICOM with `manifest.csv` too, and class folders of PNG.
"""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import numpy as np

from monai_xr.data.files.tables import csv_text
from monai_xr.data.images.png import MARK_KEY, write_png
from monai_xr.data.phantoms.lesions import FINDINGS
from monai_xr.data.phantoms.picture import Phantom, make_phantom
from monai_xr.dicom.identity import PHANTOM_MODEL, SYNTHETIC_ID_PREFIX
from monai_xr.dicom.writing import DESCRIPTION, PHANTOM_SYNTAXES, PhantomHeader, write_phantom
from monai_xr.disk import host_trouble, whole_folder
from monai_xr.errors import ConfigurationError
from monai_xr.settings import parse_count

SHARE_WITH_TWO_IMAGES = 0.2
SPLITS = ("train", "val", "test")


@dataclass(frozen=True)
class PhantomRow:
    """One picture of the folder, as a row of `manifest.csv`; `image` is relative to the folder."""

    image: str
    label: str
    patient_id: str
    split: str


def write_phantom_studies(
    folder: Path,
    *,
    patients: int,
    seed: int = 0,
    size: int = 512,
    findings: Sequence[str] = tuple(FINDINGS),
    manifest: bool = True,
    png: bool = False,
    fractions: tuple[float, float, float] = (0.7, 0.15, 0.15),
    progress: Callable[[int, int], None] | None = None,
) -> list[PhantomRow]:
    """Write a folder of phantoms and give its rows; the same arguments give the same bytes.

    Every patient has one finding, a fifth of them two pictures. The folder appears only when it is complete.

    Args:
        folder: To make; absent or empty.
        patients: How many.
        seed: Of all chance.
        size: Pixels a side.
        findings: Dealt to the patients in turn.
        manifest: Whether to write `manifest.csv` with splits beside the pictures.
        png: Class folders of PNG instead of a DICOM tree with `labels.csv`.
        fractions: Of the patients of each finding in train, val and test.
        progress: Called with (done, total) after each patient.

    Raises:
        ConfigurationError: Unknown finding, no patients, fractions that do not add up, or a folder in use.
    """
    _check(folder, patients, findings, fractions)
    parse_count(seed, "seed", least=0)
    trouble = host_trouble(folder, "check the folder and the space", what="cannot write phantoms: {}")
    with trouble, whole_folder(folder) as building:
        rows = _write_all(building, (patients, seed, size), (findings, fractions), png=png, progress=progress)
        _write_tables(building, rows, labels=not png, manifest=manifest)
    return rows


def _write_tables(folder: Path, rows: Sequence[PhantomRow], *, labels: bool, manifest: bool) -> None:
    if labels:
        (folder / "labels.csv").write_text(csv_text(["path", "label"], [[row.image, row.label] for row in rows]))
    if manifest:
        names = [field.name for field in fields(PhantomRow)]
        (folder / "manifest.csv").write_text(csv_text(names, [asdict(row) for row in rows]))


def deal_splits(labels: Sequence[str], fractions: tuple[float, float, float], rng: np.random.Generator) -> list[str]:
    """Give each patient a split, stratified by label; three or more patients of a label reach all open splits.

    Args:
        labels: One a patient.
        fractions: Of train, val and test.
        rng: Source of the shuffling.
    """
    splits = [""] * len(labels)
    for label in sorted(set(labels)):
        members = rng.permutation([index for index, name in enumerate(labels) if name == label]).tolist()
        counts = [round(fraction * len(members)) for fraction in fractions[1:]]
        if len(members) >= len(SPLITS):
            counts = [
                max(count, 1) if fraction > 0 else 0 for count, fraction in zip(counts, fractions[1:], strict=True)
            ]
        borders = np.cumsum(counts)
        for rank, member in enumerate(members):
            splits[member] = "val" if rank < borders[0] else "test" if rank < borders[1] else "train"
    return splits


def _check(folder: Path, patients: int, findings: Sequence[str], fractions: tuple[float, float, float]) -> None:
    unknown = [finding for finding in findings if finding not in FINDINGS]
    if unknown or not findings:
        named = f"unknown finding {unknown[0]!r}" if unknown else "no finding"
        raise ConfigurationError(named, "findings", f"choose from {', '.join(FINDINGS)}")
    if patients < 1:
        raise ConfigurationError(f"{patients} patients", "patients", "1 or more")
    if min(fractions) < 0 or abs(sum(fractions) - 1) > 1e-6:
        raise ConfigurationError(f"fractions {fractions}", "fractions", "three shares that add up to 1")
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ConfigurationError("folder is in use", folder, "name a new or an empty folder")


def _write_all(
    folder: Path,
    amount: tuple[int, int, int],
    plan: tuple[Sequence[str], tuple[float, float, float]],
    *,
    png: bool,
    progress: Callable[[int, int], None] | None,
) -> list[PhantomRow]:
    """Write every picture of every patient."""
    (patients, seed, size), (findings, fractions) = amount, plan
    labels = [findings[number % len(findings)] for number in range(patients)]
    splits = deal_splits(labels, fractions, np.random.default_rng([seed, 7]))
    rows: list[PhantomRow] = []
    for number, (label, split) in enumerate(zip(labels, splits, strict=True)):
        chance = np.random.default_rng([seed, 8, number])
        for image in range(2 if chance.random() < SHARE_WITH_TWO_IMAGES else 1):
            phantom = make_phantom(seed, label, size=size, patient=number, image=image)
            place = _write_png if png else _write_dicom
            name = place(folder, phantom, (seed, number, image), chance)
            rows.append(PhantomRow(name, label, _patient_id(number), split))
        if progress:
            progress(number + 1, patients)
    return rows


def _write_dicom(folder: Path, phantom: Phantom, place: tuple[int, int, int], chance: np.random.Generator) -> str:
    """Write one DICOM file at patient/study/image; each picture of a patient is a study of its own."""
    seed, number, image = place
    patient_id = _patient_id(number)
    header = PhantomHeader(
        patient_id=patient_id,
        sex=phantom.sex,
        age_years=phantom.age_years,
        study_key=f"{seed}/{number}/{image}/{phantom.pixels.shape[0]}/{phantom.finding}",
        key="1",
        spacing_mm=phantom.spacing_mm,
        study_day=int(chance.integers(0, 60)) + 90 * image,
        dx=bool(chance.random() < 0.6),
        monochrome1=bool(chance.random() < 0.4),
        syntax=PHANTOM_SYNTAXES[int(chance.choice(len(PHANTOM_SYNTAXES), p=[0.4, 0.1, 0.15, 0.2, 0.15]))],
    )
    path = folder / patient_id / f"study-{image + 1}" / "image-1.dcm"
    path.parent.mkdir(parents=True)
    write_phantom(path, phantom.pixels, header)
    return path.relative_to(folder).as_posix()


def _write_png(folder: Path, phantom: Phantom, place: tuple[int, int, int], chance: np.random.Generator) -> str:
    """Write one PNG into the folder of its class."""
    seed, number, image = place
    patient_id = _patient_id(number)
    path = folder / phantom.finding / f"{patient_id}-{image + 1}.png"
    path.parent.mkdir(exist_ok=True)
    text = {
        MARK_KEY: "phantom",
        "Software": PHANTOM_MODEL,
        "Comment": DESCRIPTION,
        "Patient": patient_id,
        "Seed": f"{seed}",
        "SpacingMM": f"{phantom.spacing_mm:.5f}",
    }
    write_png(path, phantom.pixels, text)
    return path.relative_to(folder).as_posix()


def _patient_id(number: int) -> str:
    return f"{SYNTHETIC_ID_PREFIX}P{number + 1:06d}"
