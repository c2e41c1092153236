"""Fixtures of the PACS tests: an Orthanc."""

from orthanc_server import orthanc, orthanc_process

__all__ = ["orthanc", "orthanc_process"]
