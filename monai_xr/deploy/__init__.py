"""A trained model in, an app out that a clinic's router runs: DICOM study in, DICOM results out."""
