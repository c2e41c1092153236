"""What images of a training may be called is checked before they are made."""

import json

import pytest

from monai_xr.errors import ConfigurationError
from monai_xr.workflows.bundle_running.sampling import plan_samples


def plan(folder, classes, bundle="chest_xray_dcgan", **settings):
    record = {"settings": {"bundle": bundle}, "data": {"images_per_class": classes}}
    (folder / "run.json").write_text(json.dumps(record))
    return plan_samples(folder, 3, settings)


@pytest.mark.parametrize(
    ("classes", "label", "told"),
    [
        ({"PNEUMONIA": 9}, "NORMAL", "not of class 'NORMAL' : .* : it was trained on PNEUMONIA$"),
        ({"PNEUMONIA": 9}, "pneumonia", "did you mean 'PNEUMONIA'"),
        ({"A": 9, "B": 9}, "A", "trained on A, B together: none of its images is of one of them"),
    ],
)
def test_images_are_not_called_what_the_generator_was_not_trained_on_alone(tmp_path, classes, label, told):
    with pytest.raises(ConfigurationError, match=told):
        plan(tmp_path, classes, label=label)


@pytest.mark.parametrize("classes", [{"PNEUMONIA": 9}, {"": 9}, {}])
def test_images_are_called_their_class_or_anything_where_the_films_had_none(tmp_path, classes):
    assert plan(tmp_path, classes, label="PNEUMONIA").knobs["label"] == "PNEUMONIA"
