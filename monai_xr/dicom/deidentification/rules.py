"""What de-identification lets through: every attribute by name, with the form that its value must have.

The Basic Application Level Confidentiality Profile (PS3.15 section E.2, table E.1-1) turned round. The table lists what
to remove from any object; here is what a CR, DX or Secondary Capture image of the chest needs, and nothing else passes.
No attribute that the table removes or empties is among it, and of the attributes that it leaves alone no free text but
the names of equipment and its parts. Defined terms are those of PS3.3; any other term might be a name.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, auto
from typing import TypeAlias


class Keep(Enum):
    """Forms of a value that may pass."""

    NUMBERS = auto()
    PICTURE_NUMBERS = auto()  # without which the pixels cannot be read or shown
    EQUIPMENT = auto()  # text that names a machine or a part of it
    NEW_UID = auto()
    STANDARD_UID = auto()
    DIRECTIONS = auto()  # PatientOrientation
    TABLE = auto()  # entries of a lookup table


@dataclass(frozen=True)
class Terms:
    """One of these terms in each value; others become `otherwise`."""

    terms: frozenset[str]
    otherwise: str = ""


@dataclass(frozen=True)
class AtMost:
    """Numbers from 0 to a limit: a larger one is no measure, and might be an identifier."""

    limit: float


@dataclass(frozen=True)
class Date:
    """Shifted where dates are kept; else emptied or left out."""

    emptied: bool


@dataclass(frozen=True)
class Items:
    """A sequence whose items are cleaned in turn; `code`: each item is one coded concept."""

    rules: Mapping[str, "Rule"]
    code: bool = False


Rule: TypeAlias = Keep | Terms | AtMost | Date | Items


def _terms(text: str, otherwise: str = "") -> Terms:
    return Terms(frozenset(text.split()), otherwise)


_YES_NO = _terms("YES NO")
_CODE = Items({}, code=True)
_REFERENCES = Items(
    {
        "ReferencedSOPClassUID": Keep.STANDARD_UID,
        "ReferencedSOPInstanceUID": Keep.NEW_UID,
        "PurposeOfReferenceCodeSequence": _CODE,
    }
)
_MODALITY_LUT = Items({"LUTDescriptor": Keep.TABLE, "ModalityLUTType": _terms("OD HU US", "US"), "LUTData": Keep.TABLE})
_VOI_LUT = Items({"LUTDescriptor": Keep.TABLE, "LUTData": Keep.TABLE})
# Table E.1-1 empties these (Z); all are type 2 in every image, so they are there in any case.
EMPTIED = (
    *("StudyTime", "AccessionNumber", "ReferringPhysicianName", "PatientBirthDate", "PatientSex", "StudyID"),
    *("StudyDate",),
)
# Emptied where they are there, since the image may need them (type 2).
EMPTIED_IF_THERE = ("ContentTime", "AcquisitionContextSequence")

_PICTURE_NUMBERS = """
    SamplesPerPixel PlanarConfiguration Rows Columns BitsAllocated BitsStored HighBit PixelRepresentation
    PixelAspectRatio PixelSpacing ImagerPixelSpacing NominalScannedPixelSpacing EstimatedRadiographicMagnificationFactor
    SmallestImagePixelValue LargestImagePixelValue PixelPaddingValue PixelPaddingRangeLimit
    PixelIntensityRelationshipSign
    WindowCenter WindowWidth RescaleIntercept RescaleSlope
"""
_NUMBERS = """
    SeriesNumber AcquisitionNumber InstanceNumber ImagesInAcquisition LossyImageCompressionRatio
    KVP ExposureTime ExposureTimeInuS XRayTubeCurrent XRayTubeCurrentInuA Exposure ExposureInuAs RelativeXRayExposure
    ExposureIndex TargetExposureIndex DeviationIndex Sensitivity ExposuresOnPlate GeneratorPower FocalSpots
    ImageAndFluoroscopyAreaDoseProduct EntranceDose EntranceDoseInmGy BodyPartThickness
    DistanceSourceToDetector DistanceSourceToPatient DistanceSourceToEntrance
    FilterThicknessMinimum FilterThicknessMaximum GridAspectRatio GridFocalDistance GridThickness GridPitch GridPeriod
    PositionerPrimaryAngle PositionerSecondaryAngle DetectorPrimaryAngle DetectorSecondaryAngle
    DetectorTemperature DetectorActiveTime DetectorBinning DetectorElementPhysicalSize DetectorElementSpacing
    DetectorActiveDimensions DetectorActiveOrigin DetectorActivationOffsetFromExposure
    FieldOfViewDimensions FieldOfViewOrigin FieldOfViewRotation
    CollimatorLeftVerticalEdge CollimatorRightVerticalEdge CollimatorUpperHorizontalEdge CollimatorLowerHorizontalEdge
    ShutterLeftVerticalEdge ShutterRightVerticalEdge ShutterUpperHorizontalEdge ShutterLowerHorizontalEdge
    ShutterPresentationValue
"""
_VIEWS = """
    AP PA LL RL RLD LLD RLO LLO RAO LAO RPO LPO LATERAL LAT OBLIQUE AXIAL LORDOTIC
    POSTERO_ANTERIOR ANTERO_POSTERIOR
"""
_BODY_PARTS = """
    CHEST THORAX LUNG LUNGS RIB RIBS HEART STERNUM CLAVICLE SHOULDER SCAPULA SPINE TSPINE CSPINE LSPINE TLSPINE ABDOMEN
    CHESTABDOMEN CHESTABDPELVIS NECK WHOLEBODY
"""
_GREYS = ("MONOCHROME1", "MONOCHROME2", "PALETTE COLOR")
_COLOURS = ("RGB", "YBR_FULL", "YBR_FULL_422", "YBR_ICT", "YBR_RCT")
_RULES: dict[str, Rule] = {
    "ImageType": _terms("ORIGINAL DERIVED PRIMARY SECONDARY SYNTHETIC"),
    "SOPClassUID": Keep.STANDARD_UID,
    "SOPInstanceUID": Keep.NEW_UID,
    "InstanceCreatorUID": Keep.NEW_UID,
    "SyntheticData": _YES_NO,
    "StudyDate": Date(emptied=True),
    "SeriesDate": Date(emptied=False),
    "AcquisitionDate": Date(emptied=False),
    "AcquisitionDateTime": Date(emptied=False),
    "ContentDate": Date(emptied=True),
    "Modality": _terms("CR DX RG RF XA OT CT MR MG", "OT"),
    "ConversionType": _terms("DV DI DF WSD SD SI DRW SYN"),
    "PresentationIntentType": Terms(frozenset(("FOR PRESENTATION", "FOR PROCESSING"))),
    "Manufacturer": Keep.EQUIPMENT,
    "ManufacturerModelName": Keep.EQUIPMENT,
    "SoftwareVersions": Keep.EQUIPMENT,
    "PlateType": Keep.EQUIPMENT,
    "PhosphorType": Keep.EQUIPMENT,
    "FilterType": Keep.EQUIPMENT,
    "GridAbsorbingMaterial": Keep.EQUIPMENT,
    "GridSpacingMaterial": Keep.EQUIPMENT,
    "IrradiationEventUID": Keep.NEW_UID,
    "DeviceUID": Keep.NEW_UID,
    "ReferencedImageSequence": _REFERENCES,
    "SourceImageSequence": _REFERENCES,
    "DerivationCodeSequence": _CODE,
    "AnatomicRegionSequence": Items({"AnatomicRegionModifierSequence": _CODE}, code=True),
    "ViewCodeSequence": Items({"ViewModifierCodeSequence": _CODE}, code=True),
    "QualityControlSubject": _YES_NO,
    "BodyPartExamined": _terms(_BODY_PARTS),
    "ViewPosition": _terms(_VIEWS),
    "PositionerType": _terms("CARM COLUMN RIGID NONE"),
    "FieldOfViewShape": _terms("RECTANGLE ROUND HEXAGONAL"),
    "FieldOfViewHorizontalFlip": _YES_NO,
    "CollimatorShape": _terms("RECTANGULAR CIRCULAR POLYGONAL"),
    "ShutterShape": _terms("RECTANGULAR"),
    "Grid": _terms("FIXED FOCUSED RECIPROCATING PARALLEL CROSSED NONE"),
    "FilterMaterial": _terms("MOLYBDENUM ALUMINUM COPPER RHODIUM NIOBIUM EUROPIUM LEAD SILVER"),
    "AnodeTargetMaterial": _terms("TUNGSTEN MOLYBDENUM RHODIUM"),
    "RectificationType": Terms(frozenset(("SINGLE PHASE", "THREE PHASE", "CONST POTENTIAL"))),
    "ExposureControlMode": _terms("MANUAL AUTOMATIC"),
    "ExposureStatus": _terms("NORMAL ABORTED"),
    "CassetteOrientation": _terms("LANDSCAPE PORTRAIT"),
    "DetectorConditionsNominalFlag": _YES_NO,
    "DetectorType": _terms("DIRECT SCINTILLATOR STORAGE FILM"),
    "DetectorConfiguration": _terms("AREA SLOT"),
    "StudyInstanceUID": Keep.NEW_UID,
    "SeriesInstanceUID": Keep.NEW_UID,
    "FrameOfReferenceUID": Keep.NEW_UID,
    "SynchronizationFrameOfReferenceUID": Keep.NEW_UID,
    "PatientOrientation": Keep.DIRECTIONS,
    "Laterality": _terms("R L"),
    "ImageLaterality": _terms("R L U B"),
    "PhotometricInterpretation": Terms(frozenset((*_GREYS, *_COLOURS))),
    "QualityControlImage": _YES_NO,
    "BurnedInAnnotation": _YES_NO,
    "RecognizableVisualFeatures": _YES_NO,
    "PixelIntensityRelationship": _terms("LIN LOG DISP"),
    "RescaleType": _terms("OD HU US", "US"),
    "VOILUTFunction": _terms("LINEAR LINEAR_EXACT SIGMOID"),
    "PresentationLUTShape": _terms("IDENTITY INVERSE"),
    "LossyImageCompression": _terms("00 01"),
    "LossyImageCompressionMethod": _terms("ISO_10918_1 ISO_14495_1 ISO_15444_1 ISO_15444_15"),
    "ModalityLUTSequence": _MODALITY_LUT,
    "VOILUTSequence": _VOI_LUT,
}
_PALETTES = tuple(
    f"{colour}PaletteColorLookupTable{part}" for colour in ("Red", "Green", "Blue") for part in ("Descriptor", "Data")
)
RULES: Mapping[str, Rule] = {
    **_RULES,
    **dict.fromkeys(_NUMBERS.split(), Keep.NUMBERS),
    **dict.fromkeys(_PICTURE_NUMBERS.split(), Keep.PICTURE_NUMBERS),
    **dict.fromkeys(_PALETTES, Keep.TABLE),
}
# The Retain Patient Characteristics Option (PS3.15 section E.3.7), as far as its values are terms and numbers.
CHARACTERISTICS: Mapping[str, Rule] = {
    "PatientSex": _terms("M F O"),
    "PatientSize": AtMost(3),  # metres
    "PatientWeight": AtMost(700),  # kilograms
    "PregnancyStatus": AtMost(4),
    "SmokingStatus": _terms("YES NO UNKNOWN"),
}
# Words that tell nobody who or where: makers, and what is said of any film.
_TRADE = """
    agfa bucky canon carestream delft dicom drgem elekta esaote fluoroscan fona fuji fujifilm fujitsu
    ge gmm hitachi hologic imix kodak konica lodox lumisys medrad mindray minolta neusoft oec oldelft philips
    planmeca planmed rayence samsung sectra shimadzu siemens siemensag swissray toshiba trex trixell
    varex varian vatech vidar vieworks visaris wandong xerox ziehm
    co company corp corporation electric electronic electronics film films general gmbh group health healthcare
    imaging inc international kabushiki kaisha limited ltd medical medizintechnik photo products solutions system
    systems technologies technology
    acquisition adult analog anterior ap bed beds bedside body bone cassette chest clinical cm computed computer
    console control cr ct detector detectors device digital direct dr dual dx emergency energy erect exam
    examination exposure fixed flat follow for frontal grid holder image images lat lateral left lung lungs machine
    machines mobile model no node normal number of operator or pa paediatric panel patient pediatric plate portable
    posterior print processing program radiographic radiography radiology ray right room routine scanner screening
    serial series single software special speed standard standing station storage study supine table the thorax tube
    type unit up upright version view views wall with without workstation x xray
"""
TRADE_WORDS = frozenset(_TRADE.split())
