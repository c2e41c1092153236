"""Writes numbers on each judged film, without any identity, for `monai-xr drift` to read."""

import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from monai_xr.data.files.json_lines import add_line
from monai_xr.deploy.core.results import JudgedFilm, StudyResult
from monai_xr.dicom.values import text
from monai_xr.disk import OWNER_ALONE, host_trouble

QUANTILES = (1, 5, 25, 50, 75, 95, 99)  # percent
_DIRECTIONS = 3
_MOST_ROWS = 512  # that quantiles are taken of; a film of 2048 rows has the same to three digits

Pixels = NDArray[np.floating[Any]]


def make_records(path: Path | None) -> None:
    """Make sure that records can be added to a file, if there is one, before any film is judged.

    Raises:
        HostError: They cannot be written.
    """
    if path is not None:
        with _trouble(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            os.close(os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, OWNER_ALONE))


def noted(results: Iterable[StudyResult], path: Path | None) -> Iterator[StudyResult]:
    """Pass results on; of each of their films add a line to a file, if there is one, which `monai-xr drift` reads.

    Raises:
        HostError: It cannot be written.
    """
    for result in results:
        if path is not None and result.films:
            with _trouble(path):
                for film in result.films:
                    add_line(path, _record_of(film), to_disk=False)
        yield result


def _trouble(path: Path) -> AbstractContextManager[None]:
    return host_trouble(path, "name another file with --records", what="film records cannot be written ({})")


def _record_of(film: JudgedFilm) -> dict[str, Any]:
    told: dict[str, float] = {} if film.score is None else {"score": film.score}
    for each in film.findings:
        told |= {f"probability/{each.name}": each.probability, f"positive/{each.name}": each.decision == "yes"}
    told |= {f"embedding/{place}": value for place, value in enumerate(_projected(film.embedding), start=1)}
    photometric = text(film.instance.header, "PhotometricInterpretation")
    return film_record(film.xray.pixels, (film.network_input + 1) / 2, photometric=photometric, told=told)


def _projected(embedding: Pixels) -> list[float]:
    """Give what an embedding is along three fixed directions, drawn at random: too little to find a film again by."""
    flat = np.asarray(embedding, float).ravel()
    directions = np.random.default_rng(0).standard_normal((_DIRECTIONS, flat.size))
    found: list[float] = (directions @ flat / np.sqrt(flat.size)).tolist()
    return found


def film_record(film: Pixels, shown: Pixels, *, photometric: str, told: Mapping[str, float]) -> dict[str, Any]:
    """Give the statistics of one film: nothing in them names a patient, a study, a site or a day.

    `sharpness` is the mean difference of neighbouring pixels over that of pixels two apart: 1 for white noise, 1/2 for
    what is smooth. `aiin_lift` and `aiin_gain` are what AIIN adds to the mean grey and multiplies its spread by.

    Args:
        film: As read, (H, W) in [0, 1].
        shown: As the network saw it, resized and after AIIN, (h, w) in [0, 1].
        photometric: Of the file.
        told: What was told of it, by name, such as `probability/NAME` and `positive/NAME`.
    """
    height, width = film.shape
    record: dict[str, Any] = {"week": "{}-W{:02}".format(*datetime.now(UTC).isocalendar()[:2])}
    record |= {"height": height, "width": width, "monochrome1": int(photometric == "MONOCHROME1")}
    step = max(height // _MOST_ROWS, 1)
    greys = film[::step, ::step]
    for each, grey in zip(QUANTILES, np.quantile(greys, np.divide(QUANTILES, 100)), strict=True):
        record[f"grey_{each}"] = float(grey)
    record["sharpness"] = _sharpness(film)
    record["aiin_lift"] = float(shown.mean() - greys.mean())
    record["aiin_gain"] = float(shown.std() / max(float(greys.std()), 1e-6))
    return record | {name: float(value) for name, value in told.items()}


def _sharpness(film: Pixels) -> float:
    near, far = (np.abs(film[:, step:] - film[:, :-step]).mean(dtype=float) for step in (1, 2))
    return float(near / max(far, 1e-12))
