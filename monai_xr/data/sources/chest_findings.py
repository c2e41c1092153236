"""Translates the words of public data sets into one vocabulary of chest findings: present, absent or unknown.

Codes are SNOMED CT concepts, given only where the concept is the finding itself; `pydicom.sr.codedict` has some of them
(its code for cardiomegaly, 287272002, is that of an enlarged septal foramen and is not used). Absent is what somebody
looked for and did not find. What nobody said is unknown, and is in neither list.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from monai_xr.errors import InputDataError


@dataclass(frozen=True)
class Finding:
    """One finding.

    Args:
        snomed: SNOMED CT code, "" where none fits exactly.
        is_a: Name of the wider finding that this one always is, or "".
    """

    title: str
    snomed: str = ""
    is_a: str = ""


FINDINGS: dict[str, Finding] = {
    "aortic_enlargement": Finding("Aortic enlargement"),
    "atelectasis": Finding("Atelectasis", "46621007"),
    "bacterial_pneumonia": Finding("Bacterial pneumonia", "53084003", "pneumonia"),
    "calcification": Finding("Calcification"),
    "cardiomegaly": Finding("Cardiomegaly", "8186001"),
    "clavicle_fracture": Finding("Fracture of clavicle", "58150001"),
    "consolidation": Finding("Consolidation of lung", "95436008", "lung_opacity"),
    "copd": Finding("Chronic obstructive lung disease", "13645005"),
    "covid_19": Finding("COVID-19", "840539006"),
    "edema": Finding("Pulmonary edema", "19242006"),
    "effusion": Finding("Pleural effusion", "60046008"),
    "emphysema": Finding("Pulmonary emphysema", "87433001"),
    "enlarged_pulmonary_artery": Finding("Enlarged pulmonary artery"),
    "fibrosis": Finding("Fibrosis of lung", "51615001"),
    "fungal_pneumonia": Finding("Fungal pneumonia", is_a="pneumonia"),
    "hernia": Finding("Hernia, mostly hiatal"),
    "infiltration": Finding("Infiltration", is_a="lung_opacity"),
    "interstitial_lung_disease": Finding("Interstitial lung disease", "233703007"),
    "lung_cavity": Finding("Lung cavity"),
    "lung_cyst": Finding("Lung cyst"),
    "lung_opacity": Finding("Lung opacity"),
    "lung_tumor": Finding("Lung tumor"),
    "mass": Finding("Lung mass", "309529002", "nodule_or_mass"),
    "mediastinal_shift": Finding("Mediastinal shift"),
    "nodule": Finding("Nodule of lung", "786838002", "nodule_or_mass"),
    "nodule_or_mass": Finding("Nodule or mass"),
    "other_disease": Finding("Other disease"),
    "other_lesion": Finding("Other lesion"),
    "pleural_thickening": Finding("Pleural thickening"),
    "pneumonia": Finding("Pneumonia", "233604007"),
    "pneumothorax": Finding("Pneumothorax", "36118008"),
    "rib_fracture": Finding("Fracture of rib", "33737001"),
    "tuberculosis": Finding("Pulmonary tuberculosis", "154283005"),
    "viral_pneumonia": Finding("Viral pneumonia", "75570004", "pneumonia"),
}


@dataclass(frozen=True)
class FilmFindings:
    """What is known of one film; what is in neither is unknown."""

    present: tuple[str, ...] = ()
    absent: tuple[str, ...] = ()


def conclude(present: Iterable[str], absent: Iterable[str] = ()) -> FilmFindings:
    """Draw the conclusions: who has viral pneumonia has pneumonia, who has no pneumonia has no viral one.

    Args:
        present: Names of findings that are there.
        absent: Names of findings that were looked for and are not there.

    Raises:
        InputDataError: A name that is not in the vocabulary; a finding both present and absent.
    """
    here, gone = set(present), set(absent)
    for name in here | gone:
        if name not in FINDINGS:
            raise InputDataError(f"unknown finding {name!r}", "findings", f"one of {', '.join(FINDINGS)}")
    here |= {wider for name in here for wider in _wider(name)}
    gone |= {name for name in FINDINGS if not gone.isdisjoint(_wider(name))}
    if both := sorted(here & gone):
        raise InputDataError(f"{both[0]} is both present and absent", "findings", "say one of both")
    return FilmFindings(tuple(sorted(here)), tuple(sorted(gone)))


def one_label(found: FilmFindings, looked_for: Iterable[str]) -> str:
    """Give one class for a film with several findings, for models that know one class a film.

    Args:
        found: What is known.
        looked_for: The findings that the data set tells of.

    Returns:
        The finding where it is the only one besides those it implies; "several findings"; "no finding" where all are
        absent; "" where too little is known.
    """
    implied = {wider for name in found.present for wider in _wider(name)}
    own = [name for name in found.present if name not in implied]
    if len(own) > 1:
        return "several findings"
    if own:
        return own[0]
    return "no finding" if set(looked_for) <= set(found.absent) else ""


def _wider(name: str) -> list[str]:
    wider = []
    while name := FINDINGS[name].is_a:
        wider.append(name)
    return wider
