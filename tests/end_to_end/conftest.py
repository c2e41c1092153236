"""Fixtures of the walks: an Orthanc, phantoms."""

from orthanc_server import orthanc, orthanc_process
from pacs.conftest import phantoms, refused_sockets

__all__ = ["orthanc", "orthanc_process", "phantoms", "refused_sockets"]
