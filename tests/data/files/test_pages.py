"""Values on pages are written for people."""

from pathlib import Path

import pytest

from monai_xr.data.files.pages import plain, render_page


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "none"),
        (True, "yes"),
        ({"mode": "opencv", "tiles": [4, 4]}, "mode opencv, tiles 4, 4"),
        (Path("/home/somebody/run"), "run"),
        (0.25, "0.25"),
    ],
)
def test_no_value_is_written_as_in_python(value: object, text: str) -> None:
    assert plain(value) == text


def test_every_page_has_the_filter(tmp_path: Path) -> None:
    (tmp_path / "a.html.j2").write_text("{{ value | plain }}")
    assert render_page(tmp_path / "a.html.j2", value=["<b>", None]) == "&lt;b&gt;, none"
