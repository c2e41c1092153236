"""Which tag tells the spacing (PS3.3 section 10.7)."""

import pytest

from monai_xr.dicom import read_xray


@pytest.mark.parametrize(
    ("tags", "spacing", "source"),
    [
        ({}, None, None),
        ({"PixelSpacing": [0.1, 0.2]}, (0.1, 0.2), "PixelSpacing"),
        ({"ImagerPixelSpacing": [0.2, 0.1]}, (0.2, 0.1), "ImagerPixelSpacing"),
        ({"NominalScannedPixelSpacing": [0.3, 0.4]}, (0.3, 0.4), "NominalScannedPixelSpacing"),
        ({"PixelSpacing": [0.18, 0.09], "ImagerPixelSpacing": [0.2, 0.1]}, (0.18, 0.09), "PixelSpacing"),
        ({"PixelSpacing": ["0.000", "0.000"], "ImagerPixelSpacing": [0.2, 0.1]}, (0.2, 0.1), "ImagerPixelSpacing"),
        ({"PixelSpacing": [-0.1, 0.1]}, None, None),
        ({"PixelSpacing": "0.1"}, None, None),
        ({"PixelSpacing": ""}, None, None),
        ({"ImagerPixelSpacing": [0, 0], "NominalScannedPixelSpacing": [1, 1]}, (1, 1), "NominalScannedPixelSpacing"),
    ],
)
def test_the_first_tag_with_two_positive_values_counts(write_film, tags, spacing, source):
    image = read_xray(write_film([[0, 1]], **tags))
    assert image.spacing_mm == spacing
    assert image.spacing_source == source
