"""`monai_xr.data.files.tables`: what spreadsheets write is read, what is wrong is told with its line."""

from pathlib import Path

import pytest

from monai_xr.data.files.tables import csv_text, read_table, require_columns
from monai_xr.errors import InputDataError

WANTED = [(2, {"image": "a, b.png", "label": "x"}), (4, {"image": "é.png", "label": ""})]


@pytest.mark.parametrize(
    "content",
    [
        b'image,label\n"a, b.png",x\n\n\xc3\xa9.png,\n',
        b'\xef\xbb\xbfImage , LABEL\r\n"a, b.png",x \r\n\r\n\xc3\xa9.png,\r\n',
        'image;label\n"a, b.png";x\n;\né.png;\n'.encode(),
        "image\tlabel\na, b.png\tx\n\t\né.png\t\n".encode(),
        'image,label,\n"a, b.png",x,\n,,\né.png,,\n'.encode(),
    ],
    ids=["plain", "bom-crlf-blanks", "semicolon", "tab", "trailing-commas"],
)
def test_spreadsheet_forms_are_read(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "labels.csv"
    path.write_bytes(content)
    assert [(row.line, dict(row.fields)) for row in read_table(path)] == WANTED


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"image,label\na.png,x\nb.png\n", "line 3 has 1 fields, the header 2"),
        (b"image,label\na.png,x,y\n", "line 2 has 3 fields"),
        (b"image,label,label\n", "line 1 names column 'label' twice"),
        (b"image,label\n\na.png,\xff\n", "line 3 is not UTF-8"),
        (b'image,label\n"a.png,x\n', "line 2: unexpected end of data"),
    ],
)
def test_what_is_wrong_is_told_with_its_line(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "labels.csv"
    path.write_bytes(content)
    with pytest.raises(InputDataError, match=message):
        read_table(path)


def test_missing_columns_are_named(tmp_path: Path) -> None:
    path = tmp_path / "manifest.csv"
    path.write_text("picture,label\na.png,x\n")
    with pytest.raises(InputDataError, match=r"lacks column image or file and column split .* it has: picture, label"):
        require_columns(read_table(path), path, ("image", "file"), ("label",), ("split",))


def test_table_without_rows_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "manifest.csv"
    path.write_text("image,label\n")
    with pytest.raises(InputDataError, match="without rows"):
        require_columns(read_table(path), path, ("image",))


def test_rows_are_written_as_lists_or_by_column(tmp_path: Path) -> None:
    text = csv_text(("image", "label"), [["a,b.png", "x"], {"label": 'say "y"', "image": "c.png", "other": 1}])
    assert text == 'image,label\n"a,b.png",x\nc.png,"say ""y"""\n'
    (tmp_path / "t.csv").write_text(text)
    assert [row.fields["label"] for row in read_table(tmp_path / "t.csv")] == ["x", 'say "y"']


@pytest.mark.parametrize(
    ("rows", "way_out"), [("a.png\nb.png,x\nc.png\n", "write each field"), ("a.png,x,y\nc.png\n", "quote fields")]
)
def test_all_rows_with_another_number_of_fields_are_told(tmp_path: Path, rows: str, way_out: str) -> None:
    path = tmp_path / "labels.csv"
    path.write_text(f"image,label\n{rows}")
    lines = [place for place, row in enumerate(rows.splitlines(), start=2) if row.count(",") != 1]
    wanted = "; ".join(f"line {line} has . fields, the header 2" for line in lines)
    with pytest.raises(InputDataError, match=wanted) as told:
        read_table(path)
    assert told.value.way_out.startswith(way_out)
