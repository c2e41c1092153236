"""What torchmetrics asks of a metric: direction, plots, and values over processes of which some saw no image."""

import multiprocessing
import warnings
from pathlib import Path

import matplotlib.figure
import pytest
import torch
from monai.engines import SupervisedEvaluator
from torch.utils.data import DataLoader
from torchmetrics.wrappers import MetricTracker

from monai_xr.metrics import FeatureMetric, FeatureSpace, PairDiversity, ms_ssim_of_random_pairs

IMAGES = torch.rand(6, 1, 32, 32, generator=torch.Generator().manual_seed(0))
SPACE = FeatureSpace("mean", torch.nn.Flatten())


def brightness(real, synthetic):
    return synthetic.mean() - real.mean()


@pytest.mark.parametrize(("higher", "best"), [(True, 0.3), (False, 0.1)])
def test_tracker_follows_the_direction_of_each_object(higher, best):
    tracker = MetricTracker(FeatureMetric(SPACE, brightness, higher_is_better=higher))
    for shift in (0.1, 0.3, 0.2):
        tracker.increment()
        tracker.update(IMAGES * 0, real=True)
        tracker.update(IMAGES * 0 + shift / 2, real=False)  # the space is [-1, 1]
    assert tracker.best_metric() == pytest.approx(best, abs=1e-6)


@pytest.mark.parametrize("metric", [PairDiversity(pairs=3), FeatureMetric(SPACE, brightness)])
def test_values_are_drawn(metric):
    figure, axes = metric.plot([torch.tensor(0.2), torch.tensor(0.1)])
    assert isinstance(figure, matplotlib.figure.Figure)
    assert list(axes.lines[0].get_ydata()) == pytest.approx([0.2, 0.1])


@pytest.mark.parametrize("decollate", [True, False])
def test_diversity_attaches_to_an_evaluator_as_monais_metrics_do(decollate):
    evaluator = SupervisedEvaluator(
        device=torch.device("cpu"),
        val_data_loader=DataLoader([{"image": image, "label": 0} for image in IMAGES], batch_size=4),
        network=torch.nn.Identity(),
        key_val_metric={"ms_ssim": PairDiversity(pairs=15)},
        decollate=decollate,
    )
    for _ in range(2):  # nothing of the first epoch is in the second
        evaluator.run()
        expected = ms_ssim_of_random_pairs(IMAGES, pairs=15, seed=0).mean
        assert evaluator.state.metrics["ms_ssim"] == pytest.approx(expected, rel=1e-5)


def compute(rank, meeting, answers):
    """One of two processes, of which the second has seen no synthetic image and none to pair."""
    warnings.simplefilter("ignore")  # torchmetrics' of a metric without update
    torch.distributed.init_process_group("gloo", init_method=f"file://{meeting}", rank=rank, world_size=2)
    features, pairs = FeatureMetric(SPACE, brightness), PairDiversity(pairs=15)
    features.update(IMAGES[rank : rank + 1], real=True)
    if rank == 0:
        features.update(IMAGES, real=False)
        pairs.update(IMAGES)
    answers.put((float(features.compute()), float(pairs.compute())))
    torch.distributed.destroy_process_group()


def test_process_without_images_gives_the_value_of_all(tmp_path: Path):
    context = multiprocessing.get_context("fork")
    answers = context.Queue()
    processes = [context.Process(target=compute, args=(rank, tmp_path / "meeting", answers)) for rank in range(2)]
    for process in processes:
        process.start()
    found = [answers.get(timeout=120) for _ in processes]
    for process in processes:
        process.join()
    expected = 2 * (IMAGES.mean() - IMAGES[:2].mean()).item(), ms_ssim_of_random_pairs(IMAGES, pairs=15, seed=0).mean
    assert found == [pytest.approx(expected, abs=1e-5)] * 2
