"""De-identified headers against table E.1-1 of PS3.15 and against every attribute of the dictionary."""

import pytest
from canary import canary, film, hits, put
from pydicom._dicom_dict import DicomDictionary
from pydicom.datadict import dictionary_VR, keyword_for_tag, tag_for_keyword
from pydicom.dataset import Dataset

from monai_xr.dicom.deidentification.data_set import DeidentificationOptions, deidentify
from monai_xr.dicom.deidentification.pseudonyms import Pseudonyms
from monai_xr.dicom.deidentification.rules import RULES, Date, Keep

KEY = Pseudonyms(b"k" * 32)
ALL = DeidentificationOptions(shift_dates=True, keep_characteristics=True)
# Table E.1-1 of PS3.15 2024d: everything that the basic profile removes, empties or replaces by a dummy (X, Z, D), by
# group. Repeating groups 50xx and 60xx and private groups have tests of their own.
TABLE_XZD = {
    "0000": "1000",
    "0008": """0050 0022 002a 0032 1084 1080 0023 0033 009c 009d 0107 0106 0025 0035 0012 0013 0015 0080 0081 0082 1040
        1041 1060 1000 1072 1070 0024 0034 1050 1052 1048 1049 1062 1088 1120 1111 1110 0090 0092 0094 0096 0054 0055
        1010 0021 103e 0031 0020 1030 0030 0201 2111 4000""",
    "0010": """21b0 2110 1081 2150 2160 2161 1050 0021 21d0 2000 1090 1080 2180 1000 1002 1001 1040 1010 0030 1005 0032
        0050 1060 0010 0101 0102 21f0 0040 2203 1020 2155 2154 1030 4000 0020 21c0 1100 2152 2299 2297 21a0""",
    "0012": """0060 0082 0081 0020 0021 0072 0071 0030 0031 0010 0040 0042 0051 0050 0087 0086 0022 0073 0032 0041 0043
        0055 0023""",
    "0014": "407e 407c",
    "0016": """004d 004b 0076 0075 008c 008d 0088 0087 008a 0089 0084 0083 0086 0085 008e 007b 0081 0080 0072 0071 0074
        0073 0082 007a 008b 0078 007d 007c 0079 0077 007f 007e 0070 004f 0050 0051 004e 002b""",
    "0018": """4000 1400 11bb 9424 1203 1007 0010 1042 1043 a002 a003 1205 1200 700c 1204 1012 1202 9701 937f 700a 1000
        9517 9804 9074 9151 9623 1008 1005 0035 0027 937b 1004 1030 1078 1072 1079 1073 9937 9185 936a 9369 9516 1201
        700e 1014 5011 100a 1009 9371 9373 9367 9919""",
    "0020": "9158 4000 3403 3406 3405 3401 0027 0010",
    "0028": "4000",
    "0032": """1030 1066 1067 1060 1070 1032 1033 1020 1021 1000 1001 1010 1011 1040 1041 4000 1050 1051 0012 0034 0035
        0032 0033""",
    "0034": "0002 0001 0007 0005",
    "0038": """0010 0020 0021 0300 0030 0040 0032 0011 0014 0061 0064 0400 0500 0004 001a 001b 001c 001d 001e 0062 0060
        0050 4000""",
    "003a": "032b 0314 0329",
    "0040": """0555 4035 a353 0310 0280 3001 051a 0512 a078 a730 a307 a07c a121 a110 a120 4011 2017 a023 a024 4037 4036
        2400 1011 2004 0513 0562 2005 1010 a192 a032 a033 a193 2010 2011 2008 2009 a07a a082 1004 0243 0254 0250 4051
        0251 0253 0244 4050 0245 0241 4030 0242 4028 1102 1104 1103 1101 a123 2016 0012 4052 100a 2001 1002 a13a 0275
        1400 1001 1005 4034 0006 000b 0007 0004 0005 4008 0009 0011 4010 0002 4005 0003 0001 4027 0010 4025 06fa 050a
        0602 0551 0610 0600 a354 db07 db06 a122 a112 a352 a358 a030 a088 a075 a073 a027 e004""",
    "0042": "0011",
    "0044": "0004 0104 0105 000b 0010",
    "0050": "001b 0020 0021",
    "0068": "6226 6270",
    "006a": "0006 0005 0003",
    "0070": "0086 0084 0001 0082 0083",
    "0072": "000a 005e 005f 0061 0063 0066 0068 0065 006a 006c 006e 006b 006d 0071 0070",
    "0074": "1234 1236",
    "0088": "0200 0910 0912 0906 0904",
    "0100": "0420",
    "0400": "0562 0115 0310 0105 0404 0550 0563 0552 0551 0561 0565 0402 0403 0564 0600",
    "2030": "0020",
    "2100": "0040 0050 0140 0070",
    "2200": "0005 0002",
    "4000": "0010 4000",
    "4008": """011a 0119 0300 0112 0113 0111 010c 0115 0200 0202 0100 0101 0102 010b 010a 0108 0109 0114 4000 0118 0040
        0042""",
    "fffa": "fffa",
    "fffc": "fffc",
}  # fmt: skip
# The same table: UIDs to be replaced (U), and sequences of references.
TABLE_U = {
    "0008": "0017 0058 0014 3010 0019 1155 0018 1195",
    "0018": "1002 100b 2042",
    "0020": "9161 9164 0052 000e 000d 0200",
    "0028": "1214 1199",
    "003a": "0310",
    "0040": "a402 a171 4023 a172 0554 db0d db0c a124",
    "0062": "0021",
    "0064": "0003",
    "0070": "031a 1101 1102",
    "0088": "0140",
    "0400": "0100",
}


def tags_of(table: dict[str, str]) -> list[int]:
    return [int(group + element, 16) for group, elements in table.items() for element in elements.split()]


def test_the_list_of_tags_is_that_of_the_dictionary():
    known = [tag for tag in tags_of(TABLE_XZD) + tags_of(TABLE_U) if tag in DicomDictionary]
    assert len(known) > 400


def test_of_the_table_only_dates_are_on_the_list_and_they_go_by_their_own_rule():
    listed = {keyword: rule for keyword, rule in RULES.items() if tag_for_keyword(keyword) in tags_of(TABLE_XZD)}
    assert set(listed) == {"StudyDate", "SeriesDate", "AcquisitionDate", "AcquisitionDateTime", "ContentDate"}
    assert {type(rule) for rule in listed.values()} == {Date}
    new_uids = {keyword for keyword in RULES if tag_for_keyword(keyword) in tags_of(TABLE_U)}
    assert {RULES[keyword] for keyword in new_uids} == {Keep.NEW_UID}


@pytest.mark.parametrize("options", [DeidentificationOptions(), ALL])
@pytest.mark.parametrize("nested", [False, True])
def test_nothing_of_table_e_1_1_passes(options, nested):
    ds = film()
    target = ds
    if nested:  # in the items of sequences that are kept
        target = Dataset()
        target.ReferencedSOPClassUID, target.ReferencedSOPInstanceUID = ds.SOPClassUID, "1.9.190.4"
        ds.SourceImageSequence = [target]
    for tag in tags_of(TABLE_XZD):
        if tag in DicomDictionary and tag >> 16 not in (0x0000, 0x0002, 0x0004) and tag not in target:
            put(target, tag, canary(dictionary_VR(tag)), dictionary_VR(tag).split(" or ")[0])
    clean = deidentify(ds, KEY, options)
    assert hits(clean) == []
    ours = {"PatientName", "PatientID"}  # the pseudonym
    asked = {"StudyDate", "SeriesDate", "ContentDate", "AcquisitionDate", "AcquisitionDateTime", "PatientSex",
             "PatientAge", "PatientSize", "PatientWeight", "PregnancyStatus", "SmokingStatus"}  # fmt: skip
    allowed = ours | (asked if options is ALL else set())
    left = [keyword_for_tag(tag) for tag in tags_of(TABLE_XZD) if tag in clean and clean[tag].value]
    assert set(left) <= allowed


def test_uids_of_table_e_1_1_are_replaced_everywhere():
    ds = film()
    for tag in tags_of(TABLE_U):
        if tag in DicomDictionary and dictionary_VR(tag) == "UI":
            ds.add_new(tag, "UI", "1.9.19010203")
    clean = deidentify(ds, KEY)
    assert hits(clean) == []
    assert clean.FrameOfReferenceUID == clean.IrradiationEventUID == clean.SOPInstanceUID == KEY.uid("1.9.19010203")


NUMERIC = {"DS", "IS", "US", "SS", "UL", "SL", "FL", "FD", "US or SS"}


def test_no_text_of_any_attribute_that_there_is_names_the_patient():
    ds = film()
    needed = {element.tag for element in ds}
    for tag, (vr, *_) in DicomDictionary.items():
        is_text = vr not in NUMERIC and not vr.startswith("NONE") and "OW" not in vr
        if (
            tag >> 16 > 0x0004
            and tag not in needed
            and is_text
            and vr not in ("OF", "OD", "OL", "OV", "UV", "SV", "AT")
        ):
            put(ds, tag, canary(vr), vr.split(" or ")[0])
    for options in (DeidentificationOptions(), ALL):
        assert hits(deidentify(ds, KEY, options)) == []
