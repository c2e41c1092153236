r"""Turning a film upright from PatientOrientation alone (PS3.3 section C.7.6.1.1.1): `Turn`, `turn_upright`.

PatientOrientation names the direction of the rows (to the right of the picture) and of the columns (downwards).
Frontal films come to stand as `L\F`: the patient's left on the right side, feet down; a mirrored one is mirrored back.
Lateral films come to stand feet down by rotation alone: which side is in front depends on the side that was imaged.
FieldOfViewRotation and FieldOfViewHorizontalFlip tell what the modality has already done; they are not applied.
"""

from dataclasses import dataclass

from monai_xr.dicom.image import Array

_OPPOSITE = {"L": "R", "R": "L", "A": "P", "P": "A", "H": "F", "F": "H"}
_AXIS = {"L": "LR", "R": "LR", "A": "AP", "P": "AP", "H": "HF", "F": "HF"}


@dataclass(frozen=True)
class Turn:
    """Swap rows and columns, then mirror each axis.

    Attributes:
        transpose: Rows become columns.
        flip_rows: The order of the rows is reversed afterwards: top becomes bottom.
        flip_columns: The order of the columns is reversed afterwards: left becomes right.
        name: What was done and why, for the provenance.
    """

    transpose: bool
    flip_rows: bool
    flip_columns: bool
    name: str

    def apply(self, picture: Array) -> Array:
        """Give a turned view of an `(H, W)` picture."""
        if self.transpose:
            picture = picture.T
        if self.flip_rows:
            picture = picture[::-1]
        return picture[:, ::-1] if self.flip_columns else picture

    def undo(self, picture: Array) -> Array:
        """Give the view that `apply` was given."""
        if self.flip_columns:
            picture = picture[:, ::-1]
        if self.flip_rows:
            picture = picture[::-1]
        return picture.T if self.transpose else picture

    def spacing(self, spacing_mm: tuple[float, float]) -> tuple[float, float]:
        """Give the spacing of rows and columns after the turn."""
        return (spacing_mm[1], spacing_mm[0]) if self.transpose else spacing_mm


def turn_upright(patient_orientation: str) -> Turn:
    r"""Find the turn to upright.

    Args:
        patient_orientation: As in the file, values joined by a backslash, for example `L\F`. Of a compound direction
            such as `LF` the first letter, the main one, counts.

    >>> turn_upright(r"R\F").name
    'orientation R\\F to L\\F'
    """
    directions = [part.strip().upper()[:1] for part in patient_orientation.split("\\")]
    if not patient_orientation:
        return Turn(False, False, False, "orientation unknown, kept")
    axes = [_AXIS.get(direction, "") for direction in directions]
    if len(axes) != 2 or "HF" not in axes or axes[0] == axes[1] or "" in axes:
        return Turn(False, False, False, "orientation not that of a frontal or lateral film, kept")
    across, down = directions
    transpose = axes[0] == "HF"
    if transpose:
        across, down = down, across
    flip_rows = down == "H"
    # An odd number of mirrorings would show a lateral film from its other side; rotations have an even number.
    flip_columns = across == "R" if "LR" in axes else transpose != flip_rows
    across = _OPPOSITE[across] if flip_columns else across
    before = "\\".join(directions)
    after = f"{across}\\F"
    return Turn(
        transpose, flip_rows, flip_columns, f"orientation {before} " + ("kept" if before == after else f"to {after}")
    )
