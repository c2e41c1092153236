import pytest
import torch
from ignite.engine import Events

from monai_xr.errors import ConfigurationError
from monai_xr.handlers import EpochLosses
from monai_xr.handlers.gan_metrics import GanMetrics
from monai_xr.metrics import frechet_distance, ms_ssim, ms_ssim_of_random_pairs, random_space


@pytest.fixture(scope="module")
def films():
    return torch.rand(20, 1, 32, 32, generator=torch.Generator().manual_seed(5)) * 2 - 1


def watcher(films, **settings):
    return GanMetrics(films, **{"count": 12, "every": 1, "pairs": 20, **settings})


def test_measures_are_those_of_the_averaged_generator(make_engine, films):
    engine = make_engine(1, [watcher(films)])
    engine.run()
    metrics = engine.state.metrics
    assert {name for name in metrics if name.startswith("measures/")} == {
        f"measures/{name}"
        for name in (
            "ms_ssim",
            "ms_ssim_gap",
            "fid_12_random",
            "kid_12_random",
            "precision_12_random",
            "coverage_12_random",
        )
    }
    handler = watcher(films)
    fakes, (real, _, _) = engine.sample(12), handler._reals()
    assert fakes.shape == real.shape == (12, 1, 32, 32)
    assert 0 <= real.min() <= real.max() <= 1
    space = random_space()
    assert metrics["measures/fid_12_random"] == pytest.approx(frechet_distance(space(real), space(fakes)))
    gap = ms_ssim_of_random_pairs(fakes, pairs=20, seed=0).mean - ms_ssim_of_random_pairs(real, pairs=20, seed=0).mean
    assert metrics["measures/ms_ssim_gap"] == pytest.approx(gap)


class OfPatients:
    """Films in pairs of one patient."""

    def __init__(self, films):
        self.films, self.patients = films, tuple(f"P{place // 2}" for place in range(len(films)))

    def __len__(self):
        return len(self.films)

    def __getitem__(self, place):
        return {"image": self.films[place], "label": 0}


def test_patients_are_drawn_and_never_paired_with_themselves(films):
    alike = films[::2].repeat_interleave(2, 0)  # both films of a patient are the same
    handler = watcher(OfPatients(alike), count=8, pairs=500)
    assert sorted(handler.rows) == sorted(row for first in handler.rows[::2] for row in (first, first + 1))
    _, likeness, _ = handler._reals()
    real = (alike[handler.rows] + 1) / 2
    pairs = torch.tensor([(a, b) for a in range(8) for b in range(a + 1, 8) if a // 2 != b // 2])
    assert likeness == pytest.approx(ms_ssim(real[pairs[:, 0]], real[pairs[:, 1]]).mean().item())
    assert watcher(films, count=8).patients is None


def test_only_every_so_often_and_at_the_end_without_stale_values(make_engine, films):
    seen = {}

    class Note:
        def attach(self, engine):
            engine.add_event_handler(Events.EPOCH_COMPLETED, self)

        def __call__(self, engine):
            seen[engine.state.epoch] = "measures/ms_ssim_gap" in engine.state.metrics

    make_engine(5, [watcher(films, every=2), Note()]).run()
    assert seen == {1: False, 2: True, 3: False, 4: True, 5: True}


@pytest.mark.parametrize("ema_decay", [0.9, 0])
def test_the_training_is_the_same_with_and_without(make_engine, films, ema_decay):
    plain = make_engine(2, [EpochLosses()], ema_decay=ema_decay)
    plain.run()
    watched = make_engine(2, [EpochLosses(), watcher(films)], ema_decay=ema_decay)
    watched.run()
    for ours, theirs in zip(
        watched.generator.state_dict().values(), plain.generator.state_dict().values(), strict=True
    ):
        assert torch.equal(ours, theirs)
    assert watched.generator.training == plain.generator.training


def test_a_spent_budget_leaves_measures_out_with_one_warning(make_engine, films, caplog):
    engine = make_engine(3, [watcher(films, budget_s=0)])
    engine.run()
    assert not [name for name in engine.state.metrics if name.startswith("measures/")]
    assert caplog.text.count("left some measures out") == 1


def test_settings_are_read_as_typed_and_named_in_the_error(films):
    assert watcher(films, count="10", every="3").count == 10
    assert watcher(films, count=1000).count == 20
    with pytest.raises(ConfigurationError, match="metrics_every"):
        watcher(films, every="often")


def test_too_few_films_are_told_and_train_all_the_same(make_engine, films, caplog):
    engine = make_engine(1, [watcher(films[:5])])
    engine.run()
    assert "5 films are too few to measure images by" in caplog.text
    assert not [name for name in engine.state.metrics if name.startswith("measures/")]
