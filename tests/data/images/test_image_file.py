"""`read_image`: content decides who reads."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from monai_xr.data.images import image_file as reading
from monai_xr.data.images.image_file import read_image
from monai_xr.errors import InputDataError, PassingError


def test_dicom_png_and_jpeg_are_told_apart_by_content(tmp_path: Path, png: Any, dicom: Any) -> None:
    assert read_image(dicom(tmp_path / "film.png")).bits == 12
    assert read_image(png(tmp_path / "film.dcm")).bits == 8


def test_sixteen_bit_png_keeps_its_levels(tmp_path: Path, png: Any) -> None:
    stored = (np.arange(4096, dtype=np.uint16) * 16).reshape(64, 64)
    image = read_image(png(tmp_path / "film.png", pixels=stored))
    assert len(np.unique(image.pixels)) == 4096


@pytest.mark.parametrize(("content", "kind"), [(b"<html>", "HTML"), (b"", "empty"), (b"GIF89a", "GIF")])
def test_other_formats_are_refused_by_name(tmp_path: Path, content: bytes, kind: str) -> None:
    path = tmp_path / "film.dcm"
    path.write_bytes(content)
    with pytest.raises(InputDataError, match=rf"not a PNG, JPEG or DICOM file \({kind}\) : film.dcm"):
        read_image(path)


def test_file_that_is_gone(tmp_path: Path) -> None:
    with pytest.raises(InputDataError, match=r"cannot be read \(No such file or directory\) : gone.png"):
        read_image(tmp_path / "gone.png")


def test_file_that_cannot_be_opened_may_be_read_another_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def denied(_: Path) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(reading, "file_kind", denied)
    with pytest.raises(PassingError, match=r"cannot be read \(Permission denied\) : film"):
        read_image(tmp_path / "film")
