"""Makes the Secondary Capture of where the network looked, and the presentation state that tells the findings."""

import cv2
import numpy as np
from highdicom import PresentationLUTTransformation, pr, sc
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.uid import generate_uid

from monai_xr.data.images.overlay import side_by_side
from monai_xr.deploy.core.marks import device, mark, referred
from monai_xr.deploy.core.model import DeployedModel
from monai_xr.deploy.core.results import RESEARCH_ONLY, JudgedFilm
from monai_xr.dicom.values import text
from monai_xr.dicom.writing import MANUFACTURER

_SIDE = 1024  # pixels of the longer side of a film in a capture
_LINE = 22
_WHITE = (255, 255, 255)


def make_capture(film: JudgedFilm, model: DeployedModel) -> Dataset | None:
    """Draw the film beside itself with what the network looked at over it; None where the network does not tell."""
    if film.look is None:
        return None
    picture = np.ascontiguousarray(side_by_side(film.xray.pixels, film.look, most=_SIDE))
    capture: Dataset = sc.SCImage.from_ref_dataset(
        ref_dataset=referred(film.instance),
        pixel_array=_captioned(picture, [*told(film), f"{MANUFACTURER} - {RESEARCH_ONLY}"]),
        photometric_interpretation="RGB",
        bits_allocated=8,
        coordinate_system="PATIENT",
        patient_orientation=("L", "F"),
        sop_instance_uid=str(generate_uid(prefix=None)),
        transfer_syntax_uid="1.2.840.10008.1.2.1",
        **device(model, "attention", 2),
    )
    capture.ConversionType, capture.BurnedInAnnotation = "WSD", "YES"
    capture.DerivationDescription = f"Where {model.name} looked; no outline of a finding. {RESEARCH_ONLY}"
    capture.BodyPartExamined = "CHEST"
    if not text(film.instance.header, "PatientOrientation"):  # then nobody knows (PS3.3 section C.7.6.1.1.1)
        capture.PatientOrientation = None
    mark(capture, model, film.instance)
    return capture


def make_presentation(film: JudgedFilm, model: DeployedModel) -> Dataset | None:
    """Make a grey-scale presentation state whose text tells the findings; None for films in colour."""
    reference = referred(film.instance)
    photometric = text(reference, "PhotometricInterpretation")
    if not photometric.startswith("MONOCHROME"):
        return None
    layer = pr.GraphicLayer("AI", 1, "what a neural network found")
    height, width = int(reference.Rows), int(reference.Columns)
    words = pr.TextObject(
        text_value="\r\n".join([*told(film), RESEARCH_ONLY]),
        units=pr.AnnotationUnitsValues.PIXEL,
        bounding_box=(1.0, 1.0, float(max(2, width // 2)), float(max(2, height // 4))),
        text_justification=pr.TextJustificationValues.LEFT,
    )
    # A presentation state replaces the polarity of the image (PS3.3 section C.11.6).
    shape = "INVERSE" if photometric == "MONOCHROME1" else "IDENTITY"
    state: Dataset = pr.GrayscaleSoftcopyPresentationState(
        referenced_images=[reference],
        sop_instance_uid=str(generate_uid(prefix=None)),
        content_label="AI_FINDINGS",
        content_description=RESEARCH_ONLY,
        graphic_layers=[layer],
        graphic_annotations=[pr.GraphicAnnotation([reference], layer, text_objects=[words])],
        presentation_lut_transformation=PresentationLUTTransformation(presentation_lut_shape=shape),
        concept_name=None,
        **device(model, "annotation", 3),
    )
    state.BodyPartExamined = "CHEST"
    mark(state, model, film.instance)
    return state


def told(film: JudgedFilm) -> list[str]:
    """Tell the findings of a film, a line each."""
    lines = [f"{each.name}: {each.probability:.3f} {each.decision}" for each in film.findings]
    return [*lines, *([f"anomaly score: {film.score:.4g}"] if film.score is not None else [])]


def _captioned(picture: NDArray[np.uint8], lines: list[str]) -> NDArray[np.uint8]:
    """Write lines under a picture, as large as its width allows."""
    room = np.zeros((_LINE * len(lines) + _LINE // 2, picture.shape[1], 3), np.uint8)
    for place, line in enumerate(lines, start=1):
        plain = line.encode("ascii", "replace").decode()
        (wide, _), _ = cv2.getTextSize(plain, cv2.FONT_HERSHEY_SIMPLEX, 1.0, 1)
        scale = min(0.6, 0.95 * picture.shape[1] / wide)
        cv2.putText(room, plain, (4, _LINE * place - 4), cv2.FONT_HERSHEY_SIMPLEX, scale, _WHITE, 1, cv2.LINE_AA)
    return np.concatenate([picture, room])
