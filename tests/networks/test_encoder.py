import pytest
import torch

from monai_xr.errors import ConfigurationError
from monai_xr.networks import XrayEncoder


def test_vector_of_each_image_and_the_weights_that_were_asked_for() -> None:
    encoder = XrayEncoder(64, width=8, features=12).eval()
    assert encoder(torch.zeros(3, 1, 64, 64)).shape == (3, 12)
    kernels = [tuple(p.shape[:2]) for p in encoder.parameters() if p.ndim == 4]
    assert kernels == [(8, 1), (16, 8), (32, 16), (32, 32)]  # 64 -> 32 -> 16 -> 8 -> 4 pixels
    again = XrayEncoder(**encoder.architecture)
    again.load_state_dict(encoder.state_dict())


def test_encoder_knows_where_in_the_image_something_is() -> None:
    torch.manual_seed(0)
    encoder = XrayEncoder(32, width=8, features=16).eval()
    images = torch.zeros(2, 1, 32, 32)
    images[0, :, 4:12, 4:12] = images[1, :, 20:28, 20:28] = 1.0
    first, second = encoder(images)
    assert (first - second).abs().max() > 0.01  # means over the image would be nearly the same


@pytest.mark.parametrize(("size", "near"), [(48, "32 or 64"), (100, "64 or 128")])
def test_size_that_is_not_halved_down_to_4_is_refused_with_the_nearest(size: int, near: str) -> None:
    with pytest.raises(ConfigurationError, match=f"images of {size} pixels : image_size : .*: {near}"):
        XrayEncoder(size)
