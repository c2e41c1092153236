"""Films of a study that the tests here read and leave as they are."""

from pathlib import Path

import pytest
from study_films import data_folder, prepared


@pytest.fixture(scope="session")
def prepared_films(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `prepare_films` makes of `data_folder`."""
    folder = tmp_path_factory.mktemp("study")
    return prepared(folder, data_folder(folder / "data"))
