import numpy as np
import pytest
import torch

from monai_xr.errors import InputDataError
from monai_xr.metrics import ms_ssim_of_random_pairs
from monai_xr.workflows import evaluate_sets


def textures(count: int, *, seed: int, size: int = 32) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.rand(count, 1, 5, 5, generator=generator)
    return torch.nn.functional.interpolate(coarse, (size, size), mode="bicubic").clamp(0, 1)


def test_a_fresh_sample_of_the_real_population_is_not_called_collapsed() -> None:
    found = evaluate_sets(textures(60, seed=0), textures(60, seed=1))
    assert found.finding == "open"
    assert found["fid_30_random_over_floor"].finding == "fine"


def test_a_collapsed_set_is_called_collapsed() -> None:
    noise = 0.05 * torch.randn(40, 1, 32, 32, generator=torch.Generator().manual_seed(0))
    found = evaluate_sets(textures(60, seed=0), (textures(1, seed=1) + noise).clamp(0, 1))
    assert found.finding == "bad"
    ratio = found["fid_30_random_over_floor"].value
    assert ratio is not None
    assert ratio > 3


def test_real_and_synthetic_likeness_use_one_number_of_pairs() -> None:
    real, synthetic = textures(50, seed=0), textures(6, seed=1)
    found = evaluate_sets(real, synthetic, seed=4)
    assert found.settings["pairs"] == 15
    assert found["ms_ssim_real"].value == ms_ssim_of_random_pairs(real, pairs=15, seed=4).mean
    gap, least = found["ms_ssim_gap"].value, found["ms_ssim_synthetic"].value
    assert gap == pytest.approx(least - found["ms_ssim_real"].value)


def test_held_out_images_are_named_as_the_floor() -> None:
    found = evaluate_sets(textures(20, seed=0), textures(12, seed=1), floor=textures(10, seed=2))
    assert found.counts == {"real": 20, "synthetic": 12, "held-out": 10}
    assert found.settings["real_to_real"] == "held-out images"
    assert found["fid_10_random"].baseline is not None


def test_arrays_and_tensors_are_the_same() -> None:
    real, synthetic = textures(8, seed=0), textures(8, seed=1)
    assert evaluate_sets(real.numpy().astype(np.float64), synthetic.numpy()) == evaluate_sets(real, synthetic)


@pytest.mark.parametrize(
    ("real", "synthetic", "patients", "message"),
    [
        (textures(4, seed=0), textures(1, seed=1), None, "1 image.* : synthetic images"),
        (textures(4, seed=0), textures(4, seed=1) * torch.nan, None, "NaN .* : synthetic images"),
        (textures(4, seed=0), textures(4, seed=1, size=48), None, "32 x 32 against 48 x 48"),
        (textures(4, seed=0) * 255, textures(4, seed=1), None, "real images"),
        (textures(4, seed=0), textures(4, seed=1), ["P1"], "1 patients for 4 images"),
    ],
)
def test_refuses_in_one_line(
    real: torch.Tensor, synthetic: torch.Tensor, patients: list[str] | None, message: str
) -> None:
    with pytest.raises(InputDataError, match=message):
        evaluate_sets(real, synthetic, patients=patients)
