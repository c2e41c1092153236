"""Values on pages are written for people."""

import os
from pathlib import Path

import jinja2
import pytest

from monai_xr.data.files.pages import plain, render_page


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "none"),
        (True, "true"),
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


def test_a_template_is_compiled_once_and_again_when_it_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    compiled, original = [], jinja2.Environment.compile
    monkeypatch.setattr(
        jinja2.Environment, "compile", lambda self, *given: compiled.append(1) or original(self, *given)
    )
    template = tmp_path / "a.html.j2"
    template.write_text("first {{ value }}")
    assert [render_page(template, value=number) for number in (1, 2)] == ["first 1", "first 2"]
    assert len(compiled) == 1
    template.write_text("other {{ value }}")
    os.utime(template, (0, 0))
    assert render_page(template, value=3) == "other 3"
