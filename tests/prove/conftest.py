"""A server with everything imported, from which trainings are started in a tenth of a second and killed."""

import multiprocessing
import os

import pytest


@pytest.fixture(scope="session")
def context():
    """Processes forked from a server that has imported torch, MONAI and the package."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["monai.bundle", "monai_xr.engines", "monai_xr.handlers", "monai_xr.transforms"])
    return context


@pytest.fixture(scope="session")
def kills():
    """How many trainings are killed: few in `make test`, 50 in `make prove`."""
    return int(os.environ.get("MONAI_XR_KILLS", "5"))
