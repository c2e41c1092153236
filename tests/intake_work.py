"""`monai-xr intake work` for tests, started as a script with a folder and the seconds between builds of the data set.

Films are small, and the archive is a folder.

`counts/STUDY` holds the number of objects of a study; while a file `down` is there, the archive does not answer.
"""

import signal
import sys
from pathlib import Path

from intake_site import WORKER, site_in

from monai_xr.errors import NetworkError
from monai_xr.pacs.processing import Processing
from monai_xr.pacs.site import Site

FOLDER = Path(sys.argv[1]) if __name__ == "__main__" else Path()


def count(site: Site, study_uid: str) -> int | None:
    if (FOLDER / "down").exists():
        raise NetworkError("the archive does not answer")
    place = FOLDER / "counts" / study_uid
    return int(place.read_text()) if place.exists() else None


def stopped(number: int, frame: object) -> None:
    raise SystemExit(128 + number)


def told(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def day_site(folder: Path, build_every_s: float = 20) -> Site:
    return site_in(
        folder,
        peers={"pacs": {"ae_title": "PACS"}},
        queue={"ask": "pacs", "quiet_s": 0.5, "backoff_s": 0.2, "tries": 10, "workers": 2},
        dataset={"size": 16, "build_every_s": build_every_s},
    )


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, stopped)
    processing = Processing(day_site(FOLDER, float(sys.argv[2])), ask=count, tell=told, command=WORKER)
    try:
        processing.run()
    finally:
        processing.close()
