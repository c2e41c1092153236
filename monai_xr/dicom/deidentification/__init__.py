"""Takes the patient out of a DICOM file: header, pixel data and letters in the picture (PS3.15 Annex E)."""
