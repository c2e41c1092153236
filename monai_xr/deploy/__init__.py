"""Exports a trained model as an app for a clinic's router, which reads DICOM studies and writes DICOM results."""
