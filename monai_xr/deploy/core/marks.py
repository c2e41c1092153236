"""What all results of an app share: whose study it is, which device made them, and that they are for research."""

from typing import Any

from highdicom.coding_schemes import CodingSchemeIdentificationItem
from highdicom.sr import CodedConcept
from pydicom import config
from pydicom.datadict import dictionary_VR
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.multival import MultiValue
from pydicom.uid import ExplicitVRLittleEndian, generate_uid

from monai_xr.data.sources.chest_findings import FINDINGS
from monai_xr.deploy.core.model import DeployedModel
from monai_xr.deploy.core.results import RESEARCH_ONLY, Instance
from monai_xr.dicom.identity import film_origin, sop_class
from monai_xr.dicom.values import quiet
from monai_xr.dicom.writing import MANUFACTURER, code_item, derived_uid

_PRIVATE = "99MONAI_XR"  # coding scheme of classes without a SNOMED CT concept
_EMPTY = (  # type 2 in the Patient and General Study modules
    *("PatientID", "PatientName", "PatientBirthDate", "PatientSex", "AccessionNumber", "StudyID", "StudyDate"),
    *("StudyTime", "ReferringPhysicianName"),
)
_COPIED = (
    *("IssuerOfPatientID", "PatientAge", "StudyDescription", "StudyInstanceUID", "SeriesInstanceUID", "Modality"),
    *("Rows", "Columns", "SamplesPerPixel", "NumberOfFrames", "PhotometricInterpretation"),
    *("WindowCenter", "WindowWidth", "VOILUTFunction", "RescaleSlope", "RescaleIntercept", "RescaleType"),
)


def referred(instance: Instance) -> Dataset:
    """Give what results take from an instance, as UTF-8; values that the standard does not allow are left out."""
    source, ds = instance.header, Dataset()
    ds.SpecificCharacterSet = "ISO_IR 192"
    for keyword in (*_EMPTY, *_COPIED):
        empty = "" if keyword in _EMPTY else None
        try:
            with quiet():
                value = source.get(keyword, empty)
                if value is not None:
                    ds.add(_element(keyword, str(value) if keyword.endswith("Name") else value))
        except Exception:  # pydicom raises many kinds on values of damaged headers
            if empty is not None:
                setattr(ds, keyword, empty)
    if ds.PatientSex not in ("M", "F", "O"):
        ds.PatientSex = ""
    ds.Modality = ds.get("Modality") or "OT"
    _drop_odd_window(ds)
    ds.SOPClassUID, ds.SOPInstanceUID = sop_class(source), instance.sop_uid
    return ds


def _drop_odd_window(ds: Dataset) -> None:
    """Leave out windows that are none (PS3.3 section C.11.2.1.2): a viewer then takes its own."""
    centres, widths = (ds[each].value if each in ds else None for each in ("WindowCenter", "WindowWidth"))
    pairs = [list(each) if isinstance(each, MultiValue) else [each] for each in (centres, widths)]
    if None in (centres, widths) or len(pairs[0]) != len(pairs[1]) or min(map(float, pairs[1])) <= 0:
        for keyword in ("WindowCenter", "WindowWidth", "VOILUTFunction"):
            ds.pop(keyword, None)


def _element(keyword: str, value: Any) -> DataElement:
    """Make an element; dates and the like must be such, while the text of an id stays as it is."""
    kind = dictionary_VR(keyword)
    mode = config.RAISE if kind in ("DA", "TM", "AS") else config.IGNORE
    return DataElement(keyword, kind, value, validation_mode=mode)


def device(model: DeployedModel, kind: str, number: int) -> dict[str, Any]:
    """Give the arguments of highdicom that tell the device and a new series of one kind of result."""
    return {
        "series_instance_uid": str(generate_uid(prefix=None)),
        "series_number": 9000 + number,
        "instance_number": 1,
        "manufacturer": MANUFACTURER,
        "manufacturer_model_name": model.name[:64],
        "software_versions": model.version,
        "device_serial_number": model.model_hash[:64],
        "series_description": f"AI {kind} - {RESEARCH_ONLY}",
        "specific_character_set": "ISO_IR 192",
        "coding_schemes": [CodingSchemeIdentificationItem(_PRIVATE, name=f"Classes of {MANUFACTURER}")],
    }


def device_uid(model: DeployedModel) -> str:
    """Give the UID of the observer: that of its weights."""
    return derived_uid("model", model.model_hash)


def mark(ds: Dataset, model: DeployedModel, source: Instance) -> None:
    """Name the algorithm among the contributing equipment; results on a made-up film are made up."""
    item = Dataset()
    item.PurposeOfReferenceCodeSequence = [code_item("123110", "DCM", "Artificial Intelligence")]
    item.Manufacturer, item.ManufacturerModelName = MANUFACTURER, model.name[:64]
    item.SoftwareVersions, item.DeviceSerialNumber = model.version, model.model_hash[:64]
    item.DeviceUID = device_uid(model)
    item.ContributionDescription = f"Judged the film by a neural network, unreviewed. {RESEARCH_ONLY}"
    ds.ContributingEquipmentSequence = [item]
    if film_origin(source.header) != "patient":
        ds.SyntheticData = "YES"
        ds.QualityControlSubject = "YES"
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian


def concept_of(name: str) -> CodedConcept:
    """Give the SNOMED CT concept of a class, else a private code."""
    found = FINDINGS.get(name.lower())
    if found and found.snomed:
        return CodedConcept(found.snomed, "SCT", found.title)
    if name.lower() == "normal":
        return CodedConcept("17621005", "SCT", "Normal")
    return CodedConcept(name.upper().replace(" ", "_")[:16], _PRIVATE, (found.title if found else name)[:64])
