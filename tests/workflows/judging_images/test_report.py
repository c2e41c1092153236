import base64
import io
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from monai_xr.errors import HostError, InputDataError
from monai_xr.metrics.measures import Measure, Measures
from monai_xr.workflows.judging_images.report import write_report

MEASURES = Measures(
    rows=(
        Measure("ms_ssim_gap", "Gap", 0.043, (0.01, 0.08), None, "More alike.", "bad", signed=True),
        Measure("fid_234_random", "Distance", None, None, 0.2, "No floor."),
    ),
    headline="Collapse",
    verdict="Collapse within the class.",
    finding="bad",
    summary="A gap of +0.043.",
    counts={"real": 234, "synthetic": 1000},
    settings={"seed": 3},
    notes=("Patients are unknown.",),
)


class Page(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.sources: list[str] = []
        self.open: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.sources += [value or "" for name, value in attrs if name in ("src", "href", "xlink:href", "action")]


def report(folder: Path, **changes: object) -> str:
    arguments: dict[str, object] = {
        "title": "DCGAN, 64 px",
        "grids": {"Real": np.full((9, 16, 16), 0.5), "Synthetic": np.zeros((4, 1, 16, 16))},
        "curves": {"generator": [(1, 2.0), (2, 1.5)], "terms/gen_adv": [(1, 2.0), (2, float("nan")), (3, 1.0)]},
        "measures": MEASURES,
        "settings": {"batch_size": 64, "resume": False, "aiin": None, "dataset_dir": Path("/secret/name/films")},
        "notes": ["The real images are phantoms."],
    }
    write_report(folder / "report.html", **(arguments | changes))  # type: ignore[arg-type]
    return (folder / "report.html").read_text(encoding="utf-8")


def pictures(text: str) -> list[Image.Image]:
    data = re.findall(r'src="data:image/png;base64,([^"]+)"', text)
    return [Image.open(io.BytesIO(base64.b64decode(each))) for each in data]


def test_page_stands_alone_without_script_or_request(tmp_path: Path) -> None:
    page = Page(report(tmp_path))
    assert "script" not in page.tags
    assert "link" not in page.tags
    assert page.tags.count("svg") == 2
    assert all(source.startswith(("data:", "#")) for source in page.sources)
    assert "default-src 'none'" in (tmp_path / "report.html").read_text()


def test_page_says_what_was_measured_and_what_not(tmp_path: Path) -> None:
    text = report(tmp_path)
    for words in (
        "DCGAN, 64 px",
        "234 real, 1,000 synthetic",
        "Collapse within the class.",
        "+0.010 to +0.080",
        "fid_234_random",
        "undefined",
        "Patients are unknown.",
        "The real images are phantoms.",
        "not for clinical use",
    ):
        assert words in text


def test_settings_are_readable_and_paths_are_cut_to_their_name(tmp_path: Path) -> None:
    text = report(tmp_path)
    assert "<dt>resume</dt><dd>false</dd>" in text
    assert "<dt>dataset_dir</dt><dd>films</dd>" in text
    assert "secret" not in text


def test_provenance_names_versions_but_no_host(tmp_path: Path) -> None:
    text = report(tmp_path)
    assert "<dt>monai_xr</dt><dd>0." in text
    assert "<dt>commit</dt>" in text
    assert __import__("platform").node() not in text


def test_names_cannot_break_out_of_the_page(tmp_path: Path) -> None:
    bad = "<script>alert(1)</script>"
    text = report(tmp_path, title=bad, grids={bad: np.zeros((1, 8, 8))}, curves={bad: [(1, 1.0)]}, settings={bad: bad})
    assert "<script" not in text
    assert "&lt;script&gt;" in text


def test_grid_keeps_grey_levels_and_order(tmp_path: Path) -> None:
    images = np.stack([np.full((20, 20), level / 255) for level in (0, 100, 200, 255)])
    sheet = np.asarray(pictures(report(tmp_path, grids={"Real": images}))[0])
    assert sheet.shape == (41, 41)
    assert [sheet[10, 10], sheet[10, 30], sheet[30, 10], sheet[30, 30]] == [0, 100, 200, 255]


def test_large_noisy_grids_stay_below_2_megabytes(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).random((40, 256, 256), dtype=np.float32)
    text = report(tmp_path, grids={"Real": noise, "Synthetic": noise})
    assert len(text) < 2_000_000
    assert pictures(text)[0].size[0] > 400


def test_report_without_measures_curves_and_grids_is_still_a_page(tmp_path: Path) -> None:
    text = report(tmp_path, measures=None, curves={}, grids={}, notes=[])
    assert "<h2>Settings</h2>" in text
    assert "<h2>Measures</h2>" not in text


def test_grid_in_colour_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputDataError, match=r"\(2, 3, 8, 8\) : Real"):
        report(tmp_path, grids={"Real": np.zeros((2, 3, 8, 8))})
    assert list(tmp_path.iterdir()) == []


def test_file_in_place_of_a_folder_is_a_host_error_and_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("")
    with pytest.raises(HostError, match="can be written to"):
        report(tmp_path / "taken")
    assert [path.name for path in tmp_path.iterdir()] == ["taken"]
