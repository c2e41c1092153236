"""What the command of the site is handed is what the record tells, however many patients there are."""

import threading
from pathlib import Path

from monai_xr.data.deidentifying.deidentified_folder import DeidentifiedFolder
from monai_xr.data.files.json_lines import add_line
from monai_xr.data.files.key_file import open_key
from monai_xr.pacs.commands import films_by_uid, hand_over
from monai_xr.pacs.index import StudyRow
from monai_xr.pacs.site import HandOver


def test_a_film_is_found_by_the_record_and_no_folder_of_a_patient_is_searched(tmp_path: Path) -> None:
    key, folder = open_key(tmp_path / "secret.key"), DeidentifiedFolder(tmp_path / "clean/main")
    (tmp_path / "1.2.3.dcm").write_bytes(b"object")
    new_uid = key.uid("1.2.3")
    for patient in ("RECORDED", "OTHER"):
        folder.image(patient, new_uid).parent.mkdir(parents=True)
        folder.image(patient, new_uid).write_bytes(patient.encode())
    add_line(folder.manifest, {"source": "x", "patient_id": "RECORDED", "sop_instance_uid": new_uid}, to_disk=False)
    films = films_by_uid(tmp_path / "clean", ["main", "not_made_yet"])
    assert films == {new_uid: [folder.image("RECORDED", new_uid)]}
    settings = HandOver(folder=tmp_path / "handed", command=("cp", "-r", "{objects}", "{images}", "{output}"))
    row = StudyRow("1.2", 1, "built", None, 1, 0.0, None, 0, None)
    assert hand_over(row, [tmp_path / "1.2.3.dcm"], films, settings, key=key, stop=threading.Event()).code == 0
    handed = {path.name: path.read_bytes() for path in (tmp_path / "handed").glob("*/output/**/*.dcm")}
    assert handed == {"0001.dcm": b"object", f"{new_uid}.dcm": b"RECORDED"}
