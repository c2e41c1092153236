"""The demo, small: every step runs and the page shows what it must."""

import json
import re

import pydicom

from monai_xr.workflows.demo import run_demo


def test_demo_goes_from_phantom_studies_to_one_self_contained_page(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    page = run_demo(tmp_path / "demo", patients=50, epochs=2)
    html = page.read_text()
    assert not re.findall(r"""(?:src|href)=["'](?!data:|#)""", html)
    for part in ("real images", "synthetic images", "MS-SSIM", "Generator", "Discriminator", "phantoms", "max_epochs"):
        assert part in html, part
    assert page.stat().st_size < 2_000_000
    measures = json.loads((page.parent / "measures.json").read_text())
    assert measures["counts"]["synthetic"] == 256
    synthetic = sorted((tmp_path / "demo" / "training" / "synthetic").glob("*.dcm"))
    assert len(synthetic) == 256
    assert pydicom.dcmread(synthetic[0]).SyntheticData == "YES"
    told = capsys.readouterr().out
    assert "report.html" in told
    assert "--dataset_dir YOUR_DICOM_FOLDER" in told
