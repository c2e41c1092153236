"""Tiny films with known answers, written by pydicom."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from films import film_dataset, save_film
from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian

from monai_xr.dicom import read_xray
from monai_xr.errors import InputDataError

WriteFilm = Callable[..., Path]


@pytest.fixture
def write_film(tmp_path: Path) -> WriteFilm:
    """Function that writes a film and gives its path: `write_film(pixels, syntax=..., stream=..., **tags)`."""

    def write(pixels: Any, *, syntax: str = ExplicitVRLittleEndian, stream: Any = None, **tags: Any) -> Path:
        pixels = np.asarray(pixels)
        if pixels.dtype == np.int64:
            pixels = pixels.astype(np.uint16)
        order = ">" if syntax == ExplicitVRBigEndian else "<"
        coding = {key: tags.pop(key) for key in ("fragments", "offset_table") if key in tags}
        data = pixels.astype(pixels.dtype.newbyteorder(order)).tobytes() if stream is None else stream
        return save_film(tmp_path / "film.dcm", film_dataset(pixels, **tags), data, syntax, **coding)

    return write


def resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGESIZE")


def peak_bytes() -> int:
    status = Path("/proc/self/status").read_text()
    return 1024 * next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM"))


def processor_seconds() -> float:
    """Seconds that this process and its ended children computed; a busy machine does not add to them."""
    return sum(os.times()[:4])


@pytest.fixture
def check_refusal(tmp_path: Path) -> Callable[[Path, str, str], None]:
    """Demand one clear refusal in under 5 s of the processor and 200 MB: `check_refusal(path, match, decode)`."""

    def check(path: Path, match: str, decode: str) -> None:
        Path("/proc/self/clear_refs").write_text("5")  # resets the peak of memory in use
        before, begin = resident_bytes(), processor_seconds()
        with pytest.raises(InputDataError, match=match) as failure:
            read_xray(path, decode=decode)
        assert processor_seconds() - begin < 5
        assert peak_bytes() - before < 200 * 2**20
        message = str(failure.value)
        assert path.name in message
        assert "\n" not in message
        assert len(message) < 250
        assert not any(secret in message for secret in ("ZZPHI", "JANE", "passwd", "script", str(tmp_path)))

    return check
