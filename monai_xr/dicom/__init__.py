"""DICOM file in, upright `XrayImage` with bright bone out; and back to DICOM."""
