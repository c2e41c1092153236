"""Fixtures of the walks: an Orthanc."""

from orthanc_server import orthanc, orthanc_process

__all__ = ["orthanc", "orthanc_process"]
