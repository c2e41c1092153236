"""What reading a DICOM file gives: `XrayImage`, one upright film and what is known about it."""

from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

Array: TypeAlias = NDArray[Any]
Pixels: TypeAlias = NDArray[np.float32]
Origin: TypeAlias = Literal["patient", "phantom", "generated"]


@dataclass(frozen=True, eq=False, kw_only=True)
class XrayImage:
    """One film, upright as displayed, bright where the body is dense. Text that the file does not tell is "".

    Attributes:
        pixels: `(H, W)` in `[0, 1]`; 0 is black, padding included.
        spacing_mm: Distance of the centres of neighbouring rows, then of columns; None where no tag tells.
        spacing_source: Keyword of the tag that gave the spacing.
        bits: Stored depth, so `2 ** bits` grey levels were possible.
        modality: Modality as written, for example CR or DX.
        view: ViewPosition, else the one that ViewCodeSequence means.
        laterality: ImageLaterality, else Laterality.
        patient_id: PatientID as written. Identifies a person: keep it out of logs and messages.
        study_instance_uid, series_instance_uid, sop_instance_uid, sop_class_uid, transfer_syntax: UIDs of the file.
        photometric: PhotometricInterpretation as written; `pixels` already follow from it.
        burned_in: BurnedInAnnotation: YES or NO.
        origin: "patient", "phantom" (a `monai_xr phantom`) or "generated" (any other synthetic image).
        provenance: Every step from the stored values to `pixels`, in order.
        chest_doubt: What speaks against a frontal chest radiograph, as `monai_xr.dicom.chest` says it, or "".
    """

    pixels: Pixels
    spacing_mm: tuple[float, float] | None = None
    spacing_source: str | None = None
    bits: int
    modality: str = ""
    view: str = ""
    laterality: str = ""
    patient_id: str = ""
    study_instance_uid: str = ""
    series_instance_uid: str = ""
    sop_instance_uid: str = ""
    sop_class_uid: str = ""
    transfer_syntax: str = ""
    photometric: str
    burned_in: str = ""
    origin: Origin
    provenance: tuple[str, ...]
    chest_doubt: str = ""
