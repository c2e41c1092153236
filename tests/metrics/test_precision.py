"""Every public measure of half-precision input, or inside autocast, is the float32 value of the rounded input."""

import dataclasses
import inspect
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from monai_xr import metrics
from monai_xr.metrics import Answers, FeatureMetric, PairDiversity, random_space
from monai_xr.metrics.classification import all_measures, finding_measures
from monai_xr.metrics.coverage_floor import coverage_beside_floor
from monai_xr.metrics.floor import beside_floor, sides

COUNT = 24


def _draw(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


IMAGES = (_draw(COUNT, 1, 48, 48) + 3 * torch.linspace(0, 1, 48)) / 4
OTHERS = (_draw(COUNT, 1, 48, 48, seed=1) + 3 * torch.linspace(0, 1, 48)) / 4
FEATURES, OTHER_FEATURES = 1 + 0.1 * _draw(COUNT, 8), 1.02 + 0.1 * _draw(COUNT, 8, seed=1)
TRUTH = (torch.arange(COUNT) % 2).float()
SCORES = torch.stack([0.5 + 0.001 * _draw(COUNT) + 0.0005 * TRUTH, 0.5 - 0.001 * _draw(COUNT)], 1)
PROBABILITIES = torch.cat([SCORES[:, :1], 1 - SCORES[:, :1]], 1)


def _answers(probabilities: Tensor) -> Answers:
    targets = torch.stack([TRUTH, 1 - TRUTH], 1)
    patients = tuple(f"p{i}" for i in range(COUNT))
    return Answers(probabilities, probabilities > 0.5, targets, patients, ("a", "b"), multi_label=True)


def _gathered(metric: Any, *batches: tuple[Any, ...]) -> Any:
    for batch in batches:
        metric.update(*batch)
    return metric.compute()


# Each takes half-precision tensors where the measure takes tensors, and gives what the measure gives.
MEASURES: dict[str, tuple[Callable[..., Any], tuple[Tensor, ...]]] = {
    "ms_ssim": (metrics.ms_ssim, (IMAGES, OTHERS)),
    "ms_ssim_of_random_pairs": (lambda x: metrics.ms_ssim_of_random_pairs(x, pairs=20, seed=0), (IMAGES,)),
    "normalised_pixels": (metrics.normalised_pixels, (IMAGES,)),
    "frechet_distance": (metrics.frechet_distance, (FEATURES, OTHER_FEATURES)),
    "frechet_distance_at_infinity": (metrics.frechet_distance_at_infinity, (FEATURES, OTHER_FEATURES)),
    "batchwise_frechet_distance": (metrics.batchwise_frechet_distance, (FEATURES, OTHER_FEATURES)),
    "kernel_distance": (metrics.kernel_distance, (FEATURES, OTHER_FEATURES)),
    "precision_recall_coverage": (metrics.precision_recall_coverage, (FEATURES, OTHER_FEATURES)),
    "memorization": (lambda a, b, c: metrics.memorization(a, b, held_out=c), (FEATURES, OTHER_FEATURES, FEATURES + 1)),
    "vendi_score": (metrics.vendi_score, (FEATURES,)),
    "mean_cosine_distance": (metrics.mean_cosine_distance, (FEATURES,)),
    "inception_score": (lambda p: metrics.inception_score(p / p.sum(1, keepdim=True)), (PROBABILITIES,)),
    "estimates": (lambda p: metrics.estimates(_answers(p)), (SCORES,)),
    "paired_difference": (
        lambda p, q: metrics.paired_difference(_answers(p), _answers(q), "auroc"),
        (SCORES, SCORES.flip(1)),
    ),
    "delong": (lambda p, q: metrics.delong(TRUTH, p, q), (SCORES[:, 0], SCORES[:, 1])),
    "all_measures": (lambda p: all_measures(_answers(p)), (SCORES,)),
    "finding_measures": (lambda p: finding_measures(p, p > 0.5, TRUTH), (SCORES[:, 0],)),
    "beside_floor": (
        lambda a, b: beside_floor(lambda x, y: {"fid": metrics.frechet_distance(x, y)}, sides(a, b)),
        (FEATURES, OTHER_FEATURES),
    ),
    "coverage_beside_floor": (lambda a, b: coverage_beside_floor(sides(a, b)), (FEATURES, OTHER_FEATURES)),
    "random_space": (lambda x: random_space()(x), (IMAGES[:4],)),
    "PairDiversity": (lambda x: _gathered(PairDiversity(pairs=20), (x,)), (IMAGES,)),
    "FeatureMetric": (
        lambda x, y: _gathered(FeatureMetric(random_space(), metrics.kernel_distance), (x, True), (y, False)),
        (IMAGES[:6], OTHERS[:6]),
    ),
}
NO_MEASURES = {
    "Answers", "Coverage", "Difference", "Estimate", "FeatureSpace", "KernelDistance", "Memorization", "PairSimilarity",
    "classifier_space", "holm", "inception_space", "lite0_space", "named_space", "network_space", "timm_space",
    "xrv_space",
}  # fmt: skip


def _numbers(result: Any) -> list[float]:
    if dataclasses.is_dataclass(result):
        return _numbers([getattr(result, field.name) for field in dataclasses.fields(result)])
    if isinstance(result, dict):
        return _numbers(list(result.values()))
    if isinstance(result, list | tuple):
        return [number for each in result for number in _numbers(each)]
    if isinstance(result, Tensor | np.ndarray):
        return np.asarray(result, float).ravel().tolist()
    return [float("nan") if result is None else float(result)]


@pytest.mark.parametrize("name", MEASURES)
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_is_the_float32_value_of_the_rounded_input(name: str, dtype: torch.dtype) -> None:
    measure, given = MEASURES[name]
    rounded = [each.to(dtype) for each in given]
    if name == "inception_score":
        rounded = [each.float() for each in rounded]  # rounded rows no longer sum to 1
    expected = _numbers(measure(*(each.float() for each in rounded)))
    np.testing.assert_allclose(_numbers(measure(*rounded)), expected, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("name", MEASURES)
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_autocast_changes_nothing(name: str, dtype: torch.dtype) -> None:
    measure, given = MEASURES[name]
    expected = _numbers(measure(*given))
    with torch.autocast("cpu", dtype):
        found = _numbers(measure(*given))
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-7)


def test_float64_keeps_its_precision() -> None:
    tiny = FEATURES.double() + 1e-9 * OTHER_FEATURES.double()
    assert metrics.frechet_distance(FEATURES.double(), tiny) > 0
    assert metrics.ms_ssim(IMAGES.double(), OTHERS.double()).dtype == torch.float64


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_similarity_is_that_of_double_precision(dtype: torch.dtype) -> None:
    first, second = IMAGES.to(dtype), OTHERS.to(dtype)
    exact = metrics.ms_ssim(first.double(), second.double())
    assert float((metrics.ms_ssim(first, second) - exact).abs().max()) < 1e-5
    with torch.autocast("cpu", dtype):
        assert (
            float((metrics.ms_ssim(IMAGES, OTHERS) - metrics.ms_ssim(IMAGES.double(), OTHERS.double())).abs().max())
            < 1e-5
        )


def test_no_public_measure_is_left_out() -> None:
    public = {name for name in metrics.__all__ if not inspect.ismodule(getattr(metrics, name))}
    assert public - NO_MEASURES <= set(MEASURES)
