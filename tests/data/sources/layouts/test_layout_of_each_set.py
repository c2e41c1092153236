"""Each known set on a small tree of its own layout: recognised, labels and patients by its rules."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from monai_xr.data.identifiers import hashed_id
from monai_xr.data.preparing import PrepareSettings, prepare
from monai_xr.data.records import Records
from monai_xr.data.sources.chest_findings import FINDINGS
from monai_xr.data.sources.finding import find_records
from monai_xr.data.sources.layouts import LAYOUTS
from monai_xr.errors import ConfigurationError, InputDataError


def _told(records: Records) -> dict[str, tuple[str, str, str]]:
    return {record.image.name: (record.label, record.patient_id, record.split) for record in records}


def _hashed(expected: dict[str, tuple[str, str, str]]) -> dict[str, tuple[str, str, str]]:
    return {name: (label, hashed_id(patient), split) for name, (label, patient, split) in expected.items()}


def _skipped(records: Records) -> dict[str, str]:
    return {each.file: each.reason for each in records.skipped}


@pytest.fixture
def kermany(tmp_path: Path, film: Any) -> Path:
    for name in (
        "train/NORMAL/IM-0115-0001.jpeg",
        "train/NORMAL/NORMAL2-IM-0475-0001.jpeg",
        "train/NORMAL/IM-0500-0001-0002.jpeg",
        "train/PNEUMONIA/person12_bacteria_46.jpeg",
        "train/PNEUMONIA/person12_virus_34.jpeg",
        "train/PNEUMONIA/person80_virus_150.jpeg",
        "test/NORMAL/IM-0001-0001.jpeg",
        "test/PNEUMONIA/person80_virus_151.jpeg",
        "val/PNEUMONIA/person1946_bacteria_4874.jpeg",
    ):
        film(tmp_path / name)
    return tmp_path


def test_kermany(kermany: Path) -> None:
    records = find_records(kermany)
    assert records.source == "layout of Kermany's paediatric chest X-rays"
    assert _told(records) == _hashed(
        {
            "IM-0115-0001.jpeg": ("NORMAL", "IM-0115", "train"),
            "NORMAL2-IM-0475-0001.jpeg": ("NORMAL", "NORMAL2-IM-0475", "train"),
            "IM-0500-0001-0002.jpeg": ("NORMAL", "IM-0500", "train"),
            "person12_bacteria_46.jpeg": ("PNEUMONIA", "person12_bacteria", "train"),
            "person12_virus_34.jpeg": ("PNEUMONIA", "person12_virus", "train"),
            "IM-0001-0001.jpeg": ("NORMAL", "IM-0001", "test"),
            "person80_virus_151.jpeg": ("PNEUMONIA", "person80_virus", "test"),
            "person1946_bacteria_4874.jpeg": ("PNEUMONIA", "person1946_bacteria", "val"),
        }
    )
    assert _skipped(records) == {"train/PNEUMONIA/person80_virus_150.jpeg": "its patient is in test"}
    by_name = {record.image.name: record for record in records}
    assert by_name["person12_virus_34.jpeg"].present == ("pneumonia", "viral_pneumonia")
    assert "pneumonia" in by_name["IM-0115-0001.jpeg"].absent
    assert any("--resplit" in note for note in records.notes)


def test_a_known_set_is_recognised_in_one_outer_folder(kermany: Path, tmp_path_factory: Any) -> None:
    outer = tmp_path_factory.mktemp("archive")
    shutil.copytree(kermany, outer / "chest_xray")
    (outer / "licence.txt").write_text("CC BY 4.0")
    for layout in ("auto", "kermany"):
        records = find_records(outer, layout=layout)
        assert records.source == "layout of Kermany's paediatric chest X-rays"
        assert _told(records) == _told(find_records(kermany))
    shutil.copytree(kermany, outer / "another")
    assert find_records(outer).source == "PNG/JPEG folder"  # which of two is meant, nobody can tell


def test_kermany_keys_are_those_of_the_manifest(real_data: Path) -> None:
    from monai_xr.data.sources.layouts.kermany import _NAME

    for record in find_records(real_data / "cxr" / "kermany"):
        name = _NAME.fullmatch(record.image.stem)
        assert name is not None, record.image.name
        assert hashed_id(name["patient"]) == record.patient_id


def test_covid_radiography(tmp_path: Path, film: Any) -> None:
    for name in ("COVID/images/COVID-1", "Normal/images/Normal-1", "Viral Pneumonia/images/Viral Pneumonia-1"):
        film(tmp_path / f"{name}.png")
        film(tmp_path / f"{name.replace('images', 'masks')}.png")
    (tmp_path / "README.md.txt").write_text("about")
    records = find_records(tmp_path)
    assert _told(records) == _hashed(
        {
            "COVID-1.png": ("COVID", "", ""),
            "Normal-1.png": ("Normal", "", ""),
            "Viral Pneumonia-1.png": ("Viral Pneumonia", "", ""),
        }
    )
    assert _skipped(records)["COVID/masks/COVID-1.png"] == "outline of the lungs, no film"
    assert records[0].present == ("covid_19",)
    assert "covid_19" in records[1].absent
    assert {"viral_pneumonia", "bacterial_pneumonia"} <= set(records[1].absent)


def test_covid_chestxray(tmp_path: Path, film: Any) -> None:
    rows = [
        "patientid,offset,sex,age,finding,view,modality,folder,filename,license",
        "2,0,M,65,Pneumonia/Viral/COVID-19,PA,X-ray,images,a.png,CC BY-NC-SA",
        "2,3,M,65,Pneumonia/Viral/COVID-19,L,X-ray,images,side.png,CC BY-NC-SA",
        "4,0,F,52,Pneumonia/Bacterial/Streptococcus,AP Supine,X-ray,images,b.png,CC BY",
        "5,0,F,30,No Finding,AP,X-ray,images,c.png,CC BY",
        "6,0,F,30,todo,AP,X-ray,images,d.png,CC BY",
        "7,0,F,30,Pneumonia/Viral/COVID-19,Axial,CT,images,ct.png,CC BY",
        "8,0,F,30,Pneumonia,AP,X-ray,images,gone.png,CC BY",
    ]
    (tmp_path / "metadata.csv").write_text("\n".join(rows))
    for name in ("a", "side", "b", "c", "d", "ct", "stray"):
        film(tmp_path / "images" / f"{name}.png")
    records = find_records(tmp_path)
    assert _told(records) == _hashed(
        {
            "a.png": ("COVID-19", "2", ""),
            "b.png": ("Streptococcus", "4", ""),
            "c.png": ("No Finding", "5", ""),
            "d.png": ("", "6", ""),
        }
    )
    reasons = _skipped(records)
    assert (reasons["images/ct.png"], reasons["images/side.png"]) == ("no frontal film", "no frontal film")
    assert reasons["images/stray.png"] == "not in the table of the set"
    assert "1 of 5 images that the table names are not here" in records.notes
    by_name = {record.image.name: record for record in records}
    assert by_name["a.png"].present == ("covid_19", "pneumonia", "viral_pneumonia")
    assert by_name["b.png"].present == ("bacterial_pneumonia", "pneumonia")
    assert by_name["c.png"].absent == tuple(sorted(FINDINGS))
    assert by_name["d.png"].present == by_name["d.png"].absent == ()


def test_vinbigdata_boxes_become_labels_by_two_of_three(tmp_path: Path, film: Any) -> None:
    rows = ["image_id,class_name,class_id,rad_id,x_min,y_min,x_max,y_max"]
    marks = {
        "two": [("R8", "Cardiomegaly"), ("R9", "Cardiomegaly"), ("R9", "Cardiomegaly"), ("R10", "No finding")],
        "one": [("R8", "Cardiomegaly"), ("R8", "Cardiomegaly"), ("R9", "No finding"), ("R10", "No finding")],
        "none": [("R1", "No finding"), ("R2", "No finding"), ("R3", "No finding")],
        "more": [(reader, name) for reader in ("R8", "R9") for name in ("Pneumothorax", "Pleural effusion")]
        + [("R10", "Consolidation")],
        "implied": [(reader, "Consolidation") for reader in ("R8", "R9", "R10")],
    }
    for image, each in marks.items():
        film(tmp_path / "train" / f"{image}.dicom")
        rows += [f"{image},{name},0,{reader},1,2,3,4" for reader, name in each]
    film(tmp_path / "test" / "t.dicom")
    (tmp_path / "train.csv").write_text("\n".join(rows))
    records = find_records(tmp_path)
    found = {record.image.stem: record for record in records}
    assert {name: record.label for name, record in found.items()} == {
        "two": "cardiomegaly",
        "one": "",
        "none": "no finding",
        "more": "several findings",
        "implied": "consolidation",
    }
    assert found["two"].present == ("cardiomegaly",)
    assert "cardiomegaly" not in (*found["one"].present, *found["one"].absent)  # unknown
    assert "pneumothorax" in found["one"].absent
    assert found["more"].present == ("effusion", "pneumothorax")
    assert "consolidation" not in found["more"].absent  # one of three
    assert found["implied"].present == ("consolidation", "lung_opacity")
    assert "rib_fracture" not in found["none"].absent  # not among the 14 that were looked for
    assert _skipped(records) == {"test/t.dicom": "no public label", "train.csv": "text"}


def test_vindr_cxr_ticks_and_consensus(tmp_path: Path, film: Any) -> None:
    header = "image_id,rad_id,Aortic enlargement,Cardiomegaly,Enlarged PA,Other diseases,No finding"
    (tmp_path / "annotations").mkdir()
    (tmp_path / "annotations" / "image_labels_train.csv").write_text(
        f"{header}\na,R1,1,1,0,0,0\na,R2,1,0,0,0,0\na,R3,1,0,0,0,0\nb,R1,0,0,0,0,1\nb,R2,0,0,0,0,1\nb,R3,0,0,0,0,1\n"
    )
    (tmp_path / "annotations" / "image_labels_test.csv").write_text(f"{header.replace('rad_id,', '')}\nc,0,0,1,0,0\n")
    for name in ("train/a", "train/b", "test/c"):
        film(tmp_path / f"{name}.dicom")
    found = {record.image.stem: record for record in find_records(tmp_path)}
    assert {name: (record.label, record.split) for name, record in found.items()} == {
        "a": ("aortic_enlargement", "train"),
        "b": ("no finding", "train"),
        "c": ("enlarged_pulmonary_artery", "test"),
    }
    assert "cardiomegaly" not in (*found["a"].present, *found["a"].absent)
    assert "cardiomegaly" in found["c"].absent


def test_chestxray14(tmp_path: Path, film: Any) -> None:
    header = (
        "Image Index,Finding Labels,Follow-up #,Patient ID,Patient Age,Patient Gender,View Position,"
        "OriginalImage[Width,Height],OriginalImagePixelSpacing[x,y],"
    )
    rows = ["00000001_000.png,Cardiomegaly,0,1,58,M,PA,2682,2749,0.143,0.143,"]
    rows += ["00000001_001.png,Cardiomegaly|Emphysema,1,1,58,M,PA,2894,2729,0.143,0.143,"]
    rows += [f"{patient:08d}_000.png,No Finding,0,{patient},30,F,AP,2500,2048,0.168,0.168," for patient in range(2, 40)]
    (tmp_path / "Data_Entry_2017_v2020.csv").write_text("\n".join([header, *rows]))
    names = [row.split(",")[0] for row in rows]
    for place, name in enumerate(names):
        film(tmp_path / f"images_00{place % 2 + 1}" / "images" / name)
    (tmp_path / "test_list.txt").write_text("\n".join(names[-10:]))
    records = find_records(tmp_path)
    found = {record.image.name: record for record in records}
    assert found["00000001_000.png"].label == "cardiomegaly"
    assert found["00000001_000.png"].present == ("cardiomegaly",)
    assert len(found["00000001_000.png"].absent) == 13 + 3  # the others, and three kinds of pneumonia
    assert found["00000001_001.png"].label == "several findings"
    assert found["00000001_001.png"].split == found["00000001_000.png"].split
    assert found["00000002_000.png"].label == "no finding"
    assert {name for name, record in found.items() if record.split == "test"} == set(names[-10:])
    assert {record.split for record in records} == {"train", "val", "test"}


def test_chestxray14_without_its_list_names_no_splits(tmp_path: Path, film: Any) -> None:
    (tmp_path / "Data_Entry_2017.csv").write_text("Image Index,Finding Labels,Patient ID\na.png,Mass,1\n")
    film(tmp_path / "a.png")
    records = find_records(tmp_path)
    assert (records[0].split, records[0].present) == ("", ("mass", "nodule_or_mass"))
    assert any("test_list.txt is not here" in note for note in records.notes)


def test_chestxray14_with_a_word_it_does_not_have(tmp_path: Path, film: Any) -> None:
    (tmp_path / "Data_Entry_2017.csv").write_text("Image Index,Finding Labels,Patient ID\na.png,Measles,1\n")
    film(tmp_path / "a.png")
    with pytest.raises(InputDataError, match="line 2: unknown finding 'Measles'"):
        find_records(tmp_path)


def test_rsna_pneumonia(tmp_path: Path, film: Any) -> None:
    rows = ["a,Normal", "b,Lung Opacity", "b,Lung Opacity", "c,No Lung Opacity / Not Normal"]
    (tmp_path / "stage_2_detailed_class_info.csv").write_text("\n".join(["patientId,class", *rows]))
    for name in "abc":
        film(tmp_path / "stage_2_train_images" / f"{name}.dcm")
    film(tmp_path / "stage_2_test_images" / "t.dcm")
    records = find_records(tmp_path)
    assert _told(records) == _hashed(
        {
            "a.dcm": ("Normal", "a", ""),
            "b.dcm": ("Lung Opacity", "b", ""),
            "c.dcm": ("No Lung Opacity / Not Normal", "c", ""),
        }
    )
    assert _skipped(records)["stage_2_test_images/t.dcm"] == "no public label"
    assert records[1].present == ("lung_opacity",)
    assert {"lung_opacity", "consolidation", "infiltration"} <= set(records[2].absent)
    assert any("one patient may count as of several" in note for note in records.notes)
    films = [
        {"subset_img_id": name, "img_id": f"0000001{place // 2}_00{place}.png"} for place, name in enumerate("abc")
    ]
    (tmp_path / "pneumonia-challenge-dataset-mappings_2018.json").write_text(json.dumps(films))
    again = find_records(tmp_path)
    assert [record.patient_id for record in again] == [hashed_id(each) for each in ("00000010", "00000010", "00000011")]
    assert not any("one patient may count" in note for note in again.notes)


def test_layout_is_prepared_with_its_findings(kermany: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    out = tmp_path_factory.mktemp("out")
    settings = PrepareSettings(size=32, decode="direct", accept_phantoms=True, allow_duplicates=True)
    result = prepare(kermany, out, settings)
    assert len(result.records) == 8
    stored = {record.shown: record for record in find_records(out)}
    film = stored["train/PNEUMONIA/person12_virus_34.jpeg"]
    assert (film.label, film.split, film.present) == ("PNEUMONIA", "train", ("pneumonia", "viral_pneumonia"))
    assert len(film.patient_id) == 16


def test_manifest_wins_over_a_layout_and_folder_over_both(kermany: Path) -> None:
    assert find_records(kermany, layout="folder").source == "PNG/JPEG folder"
    (kermany / "manifest.csv").write_text("image,label,patient_id,split\ntrain/NORMAL/IM-0115-0001.jpeg,mine,P,train\n")
    assert find_records(kermany).source == "manifest"
    assert find_records(kermany, layout="kermany").source.startswith("layout of")


def test_unknown_layout_names_the_nearest(kermany: Path) -> None:
    with pytest.raises(ConfigurationError, match="unknown data set 'kermani' : --from : did you mean kermany"):
        find_records(kermany, layout="kermani")


def test_other_folder_is_not_taken_for_a_set(tmp_path: Path, film: Any) -> None:
    for split in ("train", "test"):
        for label in ("NORMAL", "PNEUMONIA"):
            film(tmp_path / split / label / "1.png")
    assert find_records(tmp_path).source == "PNG/JPEG folder"
    with pytest.raises(ConfigurationError, match="this is not Kermany's paediatric chest X-rays as it is published"):
        find_records(tmp_path, layout="kermany")


def test_every_set_tells_source_licence_and_traps_and_has_an_overlay() -> None:
    import sys

    overlays = Path(__file__).parents[4] / "configs" / "data"
    for layout in LAYOUTS:
        told = sys.modules[layout.read.__module__].__doc__ or ""
        for word in ("Source:", "Licence:", "Traps:"):
            assert word in told, (layout.name, word)
        assert (overlays / f"{layout.name}.yaml").is_file()
