"""Worker of studies for tests, started as a script: films too small to be looked at show the text their header tells.

STUDY_WORKER_DIES lists places such as `before deidentify` with commas between, where a worker kills itself, once each;
the marks of those that happened are in the folder STUDY_WORKER_MARKS. While a file `full` is there, the disk is full.
"""

import errno
import io
import os
import signal
from pathlib import Path
from typing import Any

import pydicom

from monai_xr.data.deidentifying import job as deidentification_job
from monai_xr.data.deidentifying import pixel_text
from monai_xr.pacs import study_worker, studying

MARKS = Path(os.environ.get("STUDY_WORKER_MARKS", "."))


def look_at_header(image: bytes, folder: Path, **options: Any) -> pixel_text.Looked:
    said = pydicom.dcmread(io.BytesIO(image), stop_before_pixels=True).get("BurnedInAnnotation")
    return pixel_text.Looked("" if said in ("NO", "YES") else pixel_text.TEXT_FOUND)


def die_once(place: str) -> None:
    try:
        os.close(os.open(MARKS / place.replace(" ", "-"), os.O_CREAT | os.O_EXCL))
    except FileExistsError:
        return
    os.kill(os.getpid(), signal.SIGKILL)


def patched(module: Any, name: str, when: str) -> None:
    original = getattr(module, name)

    def call(*arguments: Any, **options: Any) -> Any:
        if when == "before":
            die_once(f"before {name}")
        answer = original(*arguments, **options)
        if when == "after":
            die_once(f"after {name}")
        return answer

    setattr(module, name, call)


def writing(original: Any) -> Any:
    def write(*arguments: Any, **options: Any) -> Any:
        if (MARKS / "full").exists():
            raise OSError(errno.ENOSPC, "No space left on device")
        return original(*arguments, **options)

    return write


deidentification_job.looked_at = look_at_header
deidentification_job.write_whole = writing(deidentification_job.write_whole)
for each in filter(None, os.environ.get("STUDY_WORKER_DIES", "").split(",")):
    when, name = each.split()
    patched(studying if hasattr(studying, name) else deidentification_job, name, when)

study_worker.main()
