"""Worker of studies for tests, started as a script: films too small to be looked at show the text their header tells.

With STUDY_WORKER_DIES=NAME:FILE it kills itself once where `NAME` is called, and leaves FILE behind.
"""

import io
import os
import signal
from pathlib import Path
from typing import Any

import pydicom

from monai_xr.data import deidentification_job, pixel_text
from monai_xr.pacs import study_worker, studying


def look_at_header(image: bytes, folder: Path, **options: Any) -> pixel_text.Looked:
    said = pydicom.dcmread(io.BytesIO(image), stop_before_pixels=True).get("BurnedInAnnotation")
    return pixel_text.Looked("" if said in ("NO", "YES") else pixel_text.TEXT_FOUND)


def dying_once(original: Any, mark: Path, *, after: bool) -> Any:
    def call(*arguments: Any, **options: Any) -> Any:
        answer = original(*arguments, **options) if after else None
        try:
            os.close(os.open(mark, os.O_CREAT | os.O_EXCL))
        except FileExistsError:
            return answer if after else original(*arguments, **options)
        os.kill(os.getpid(), signal.SIGKILL)
        return None

    return call


deidentification_job.looked_at = look_at_header
if os.environ.get("STUDY_WORKER_DIES"):
    name, _, mark = os.environ["STUDY_WORKER_DIES"].partition(":")
    when, _, name = name.partition(" ")
    place = next(each for each in (studying, deidentification_job) if hasattr(each, name))
    setattr(place, name, dying_once(getattr(place, name), Path(mark), after=when == "after"))

study_worker.main()
