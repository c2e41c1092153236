"""Reads from a generated image by which model, run and seed it was made: `lineage_of`."""

from pathlib import Path

from PIL import Image

from monai_xr.dicom import is_dicom, read_header
from monai_xr.dicom.values import items, text
from monai_xr.errors import InputDataError

_PNG_KEYS = {"model_hash": "Model_Hash", "run_id": "Run_Id", "seed": "Seed"}


def lineage_of(path: Path) -> dict[str, str]:
    """Read from a generated PNG or DICOM file by which model, run and seed it was made; "" where it does not say.

    Raises:
        InputDataError: The file cannot be read.
    """
    if is_dicom(path):
        makers = items(read_header(path), "ContributingEquipmentSequence")
        found = text(makers[0], "ContributionDescription") if makers else ""
        model, _, run = found.partition("model ")[2].partition(", run ")
        return {"model_hash": model, "run_id": run, "seed": ""}
    try:
        with Image.open(path, formats=["PNG"]) as image:
            chunks = {str(key): str(value) for key, value in image.info.items()}
    except (OSError, SyntaxError, ValueError) as error:
        raise InputDataError("cannot be read", path, "get the file again") from error
    return {name: chunks.get(key, "") for name, key in _PNG_KEYS.items()}
