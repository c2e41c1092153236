"""Fixtures that every test may use: the optional folder of real X-rays."""

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Folder of real X-rays, named by MONAI_XR_DATA; tests that need it skip where it is absent."""
    folder = Path(os.environ.get("MONAI_XR_DATA", Path(__file__).parents[2] / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip("no folder of real X-rays: set MONAI_XR_DATA")
    return folder
