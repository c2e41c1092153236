"""Notes in the record of a training that films of a split are judged, since a test is opened once: `note_opening`."""

import json
import logging
from datetime import UTC, datetime
from pathlib import Path

from monai_xr.data.files.output import write_json

logger = logging.getLogger(__name__)


def note_opening(run: Path, split: str, *, films: int, data_sha256: str) -> None:
    """Add to `run.json` that films were opened, and warn where their split was opened before, val aside.

    Args:
        run: Output folder of the training; nothing is noted where it holds no `run.json`.
        split: Name of the split, "all" for none.
        films: How many.
        data_sha256: Which films, see `PixelCache.manifest_sha256`.
    """
    path = run / "run.json"
    if not path.is_file():
        return
    record = json.loads(path.read_text())
    opening = {"split": split, "films": films, "data_sha256": data_sha256}
    record.setdefault("openings", []).append({**opening, "time": f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"})
    if split != "val" and sum(each["split"] == split for each in record["openings"]) > 1:
        logger.warning("the split %s was opened before for this training: choose nothing by what it shows", split)
    write_json(path, record)
