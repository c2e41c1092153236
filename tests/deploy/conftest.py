"""The model whose answers are known by hand, loaded."""

import pytest
from deploy.known import write_model

from monai_xr.deploy.core import load_model


@pytest.fixture(scope="session")
def models(tmp_path_factory):
    return write_model(tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="session")
def model(models):
    return load_model(models)
