"""Trains generators and classifiers of chest X-rays, measures what they are worth, and talks DICOM with a PACS."""

__version__ = "0.1.0"
