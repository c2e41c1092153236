"""Prepares the films of a study from a data folder or phantoms, and draws who trains in each repetition.

Splits are those of the one table of the data. No patient is in two of them, and no generated image in any: preparing
refuses both.
"""

import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from monai_xr.data import PixelCache, find_records
from monai_xr.data.files.data_folder import MANIFEST
from monai_xr.data.files.output import write_json, write_text
from monai_xr.data.files.tables import csv_text
from monai_xr.data.phantoms import write_phantom_studies
from monai_xr.data.pixel_store.building import build_store
from monai_xr.data.preparing.prepare_folder import prepare
from monai_xr.data.preparing.settings import PrepareSettings
from monai_xr.data.records import Record, Records
from monai_xr.data.sources.manifest import STORES
from monai_xr.data.splits.dealing import keep_splits
from monai_xr.data.trained_on import TrainedOn, units_in
from monai_xr.disk import make_folder
from monai_xr.errors import InputDataError
from monai_xr.transforms import make_aiin
from monai_xr.workflows.auditing import audit_folder
from monai_xr.workflows.studies.steps import WORK, Work

Images = NDArray[np.float32]
AUDIT = "audit.json"
_SET, _DRAW = "set", "draw.json"
_ADMIT = ("patient", "phantom")
_COLUMNS = ("image", "label", "patient_id", "group_id", "split", "present", "absent", "store", "row")
_SECOND_EXPOSURE = 1.6  # exponent of the grey levels of the second scanner's phantoms


@dataclass(frozen=True)
class Films:
    """Films of both classes.

    Args:
        pixels: (N, S, S) in [0, 1].
        rare: Whether each is of the rare class, (N,).
        patients: Whose each is.
        splits: Of each.
        units: See `monai_xr.data.trained_on.units_in`, by split.
        sha256: Which films these are.
    """

    pixels: Images
    rare: NDArray[np.bool_]
    patients: tuple[str, ...]
    splits: NDArray[np.str_]
    units: dict[str, frozenset[str]]
    sha256: str

    def of(self, split: str) -> NDArray[np.int64]:
        """Give the places of a split's films."""
        return np.flatnonzero(self.splits == split)

    def patients_of(self, places: NDArray[np.int64]) -> tuple[str, ...]:
        """Give whose films stand at some places."""
        return tuple(self.patients[place] for place in places)


@dataclass(frozen=True)
class Draw:
    """Who trains in one repetition, as places among the films.

    Args:
        rare: Films of the rare class.
        others: Films of the other class.
        held_back: Further films of the rare class of the split train, of patients who are not among `rare`.
    """

    rare: NDArray[np.int64]
    others: NDArray[np.int64]
    held_back: NDArray[np.int64]


def make_phantoms(work: Work) -> None:
    """Make phantoms of two classes as PNG, with splits; those of a second scanner are other patients, all of test."""
    wanted = work.settings
    fractions = (0.0, 0.0, 1.0) if wanted["second"] else (0.6, 0.15, 0.25)
    write_phantom_studies(
        work.folder / _SET,
        patients=wanted["patients"],
        seed=wanted["seed"],
        size=wanted["size"],
        findings=wanted["classes"],
        png=True,
        fractions=fractions,
    )
    if wanted["second"]:  # whose numbers begin at 0, too
        table = work.folder / _SET / MANIFEST
        write_text(table, table.read_text(encoding="utf-8").replace(",SYNTH-P", ",SYNTH-SECOND-P"))


def stamp_of(folder: Path) -> str:
    """Digest names and sizes of the files of a data folder and the content of its tables, to know it again anywhere."""
    digest = sha256()
    for file in sorted(path for path in folder.rglob("*") if path.is_file() and not path.name.startswith(".")):
        content = file.read_bytes() if file.suffix == ".csv" and file.parent == folder else b""
        digest.update(f"{file.relative_to(folder).as_posix()}\0{file.stat().st_size}\0".encode() + content)
    return digest.hexdigest()


def prepare_films(work: Work, *, folder: str) -> None:
    """Prepare the films of a data folder, or phantoms, at one size; of a prepared one, the pixels are made smaller.

    Args:
        work: Of the step.
        folder: Where the films are; it is no setting of the step, since the same films may lie elsewhere.

    Raises:
        InputDataError: A patient in two splits, a copy in another split, generated images, or nothing usable.
    """
    source = work.inputs["phantoms"] / _SET if "phantoms" in work.inputs else Path(folder).expanduser()
    found = find_records(source, split=None)
    if found.store:
        _take_over(found, work)
        return
    chosen = {name: work.settings[name] for name in ("resplit", "allow_duplicates", "no_patients", "accept_phantoms")}
    settings = PrepareSettings(size=work.settings["image_size"], decode="direct", **chosen)
    prepare(source, work.folder / _SET, settings)
    make_folder(work.folder / WORK)
    for report in ("report.html", "report.json", "headers.json"):  # they name times, or places
        if (work.folder / _SET / report).is_file():
            (work.folder / _SET / report).rename(work.folder / WORK / report)


def prepare_second(work: Work, *, folder: str) -> None:
    """Prepare films of another source as `prepare_films` does.

    Raises:
        InputDataError: Some are films, or of patients, of the study itself.
    """
    prepare_films(work, folder=folder)
    own = TrainedOn(frozenset().union(*load_films(work.inputs["films"], *classes_of(work)).units.values()))
    others = _opened(find_records(work.folder / _SET, split=None))
    way_out = "name films of another source"
    own.refuse(units_in(others), "of the second test set are in the study itself", way_out, where="--test-set")


def _take_over(records: Records, work: Work) -> None:
    """Copy a prepared data set at the size of the study."""
    records = keep_splits(records, no_patients=work.settings["no_patients"]).records
    admit = _ADMIT if work.settings["accept_phantoms"] else _ADMIT[:1]
    stores = work.folder / _SET / STORES
    pixels = build_store(records, size=work.settings["image_size"], folder=stores, admit=admit)
    if pixels.folder.parent != stores:
        shutil.copytree(pixels.folder, stores / pixels.folder.name)
        rows = [_row(record, pixels.folder.name, record.row) for record in records]
    else:
        rows = [_row(record, pixels.folder.name, row) for row, record in zip(pixels.rows, pixels.records, strict=True)]
    write_text(work.folder / _SET / MANIFEST, csv_text(_COLUMNS, rows))


def _row(record: Record, store: str, place: int | None, split: str = "") -> list[Any]:
    ids = [record.shown, record.label, record.patient_id, record.group_id, split or record.split]
    return [*ids, "", "", store, place]


def make_draw(work: Work) -> None:
    """Draw patients of the rare class until there are enough films; larger counts hold the films of smaller ones.

    Raises:
        InputDataError: Fewer films than are wanted.
    """
    films, wanted = load_films(work.inputs["films"], *classes_of(work)), work.settings
    rng = np.random.default_rng([2026, wanted["seed"]])
    train = np.flatnonzero(considered(films, wanted["most_rare"], wanted["most_negatives"]) & (films.splits == "train"))
    rare = _by_patient(films, train[films.rare[train]], rng)
    if len(rare) < wanted["count"]:
        way_out = "lower `counts` in the study file"
        raise InputDataError(f"{len(rare)} films of the rare class to train on", f"{wanted['count']} wanted", way_out)
    chosen = rare[: wanted["count"]]
    taken = set(films.patients_of(chosen))
    held_back = [place for place in rare[wanted["count"] :] if films.patients[place] not in taken]
    others = train[~films.rare[train]]
    if len(others) < 2:
        raise InputDataError("fewer than two films of the other class to train on", wanted["classes"][1])
    places = {"rare": chosen.tolist(), "others": sorted(others.tolist()), "held_back": held_back}
    write_json(work.folder / _DRAW, {name: list(map(int, found)) for name, found in places.items()})


def audit_films(work: Work, *, folder: str) -> None:
    """Look for what tells the classes apart without a look at the lungs, in the data folder as it came.

    Args:
        work: Of the step.
        folder: Of the films; "" for phantoms.
    """
    source = Path(folder).expanduser() if folder else work.inputs["films"] / _SET
    found = audit_folder(
        source, classes=work.settings["classes"], accept_phantoms=True, cache_dir=work.cache / "pixels"
    )
    write_json(work.folder / AUDIT, found.as_dict())


def considered(films: Films, most_rare: int, most_negatives: int) -> NDArray[np.bool_]:
    """Tell the films that the study looks at, (N,): of the split train not more than so many of either class."""
    kept = np.asarray(films.splits != "train", np.bool_)
    rng = np.random.default_rng(2026)
    train = films.of("train")
    for side, most in ((films.rare[train], most_rare), (~films.rare[train], most_negatives)):
        kept[_by_patient(films, train[side], rng)[:most]] = True
    return kept


def _by_patient(films: Films, places: NDArray[np.int64], rng: np.random.Generator) -> NDArray[np.int64]:
    """Order films so that those of a patient follow each other, patients by a draw."""
    names = sorted({films.patients[place] for place in places})
    rank = dict(zip(names, rng.permutation(len(names)), strict=True))
    return places[np.argsort([rank[films.patients[place]] for place in places], kind="stable")]


def classes_of(work: Work) -> tuple[str, str]:
    """Give the rare class and the other one, of any step."""
    rare, other = work.settings["classes"]
    return rare, other


def load_draw(folder: Path) -> Draw:
    """Read what `make_draw` wrote."""
    content = json.loads((folder / _DRAW).read_bytes())
    return Draw(**{name: np.array(places, np.int64) for name, places in content.items()})


@cache
def load_films(folder: Path, positive: str, negative: str, *, darker: bool = False) -> Films:
    """Read the films that `prepare_films` wrote; a process reads them once.

    Raises:
        InputDataError: One of the classes is not among them.
    """
    records = find_records(folder / _SET, classes=[positive, negative], split=None)
    cache_ = _opened(records)
    labels = np.array([record.label for record in cache_.records])
    pixels = cache_.pixels.astype(np.float32) / np.float32(65535)
    splits = np.array([record.split for record in cache_.records])
    by_split = {
        split: units_in(cache_.part(records.keeping(r for r in records if r.split == split), _ADMIT))
        for split in sorted(set(splits.tolist()))
    }
    exposed = pixels**_SECOND_EXPOSURE if darker else pixels
    return Films(exposed, labels == positive, cache_.records.patients, splits, by_split, cache_.manifest_sha256)


def normalised(images: Images, aiin: Any) -> Images:
    """Put images (N, S, S) in [0, 1] through AIIN, as in `make_aiin`."""
    normalise = make_aiin(aiin)
    return np.stack([normalise(image) for image in images]).astype(np.float32) if normalise else images


@lru_cache(4)
def film_pixels(folder: Path, classes: tuple[str, str], aiin: str, *, darker: bool = False) -> Images:
    """Give the pixels of all films after AIIN, whose setting is given as JSON; a process computes them once."""
    return normalised(load_films(folder, *classes, darker=darker).pixels, json.loads(aiin))


def _opened(records: Records) -> PixelCache:
    assert records.store is not None  # noqa: S101 - written by `prepare_films`
    return PixelCache(records.store).part(records, _ADMIT)


def write_training_folder(films: Path, places: Sequence[int], classes: tuple[str, str], folder: Path) -> None:
    """Make a data folder of some films for a generator; the pixels stay where they are.

    Args:
        films: What `prepare_films` wrote.
        places: Of the films, as in `load_films`; a film may come several times, so that an epoch is long enough.
        classes: As in `load_films`.
        folder: To make.
    """
    records = find_records(films / _SET, classes=list(classes), split=None)
    store = records.store
    assert store is not None  # noqa: S101 - written by `prepare_films`
    (folder / STORES).mkdir(parents=True)
    (folder / STORES / store.name).symlink_to(store.resolve())
    rows = [_row(records[place], store.name, records[place].row, "train") for place in places]
    write_text(folder / MANIFEST, csv_text(_COLUMNS, rows))
