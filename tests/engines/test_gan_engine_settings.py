"""Settings of the engine beyond the plain loop: conditions, parts, clipping, lazy terms, schedules, samples."""

import copy
from types import SimpleNamespace

import pytest
import torch
from ignite.engine import Events
from torch.utils.data import DataLoader, Dataset

from monai_xr.engines import GanEngine
from monai_xr.errors import ConfigurationError
from monai_xr.losses import (
    DiffAugment,
    Lazy,
    Objective,
    class_discriminator,
    class_generator,
    dissimilar_least_squares_generator,
    least_squares_discriminator,
    non_saturating_discriminator,
    non_saturating_generator,
    r1_penalty,
)
from monai_xr.networks import (
    ACGANDiscriminator,
    ACGANGenerator,
    DCGANDiscriminator,
    DCGANGenerator,
    IAGANGenerator,
)

SHAPE = {"image_size": 32, "width": 8}
PLAIN = Objective({"adversarial": non_saturating_discriminator}, {"adversarial": non_saturating_generator})


class Films(Dataset):
    """Eight films of two classes; class 1 is bright."""

    classes = ("NORMAL", "PNEUMONIA")

    def __len__(self):
        return 8

    def __getitem__(self, index):
        noise = torch.rand(1, 32, 32, generator=torch.Generator().manual_seed(index)) - 0.5
        return {"image": noise + (index % 2) * 0.4, "label": index % 2}


def make_engine(generator, discriminator, objective=PLAIN, rate=1e-3, **settings):
    optimizers = [torch.optim.Adam(n.parameters(), rate, (0.5, 0.999)) for n in (generator, discriminator)]
    wiring = {"device": "cpu", "max_epochs": 1, "train_data_loader": DataLoader(Films(), batch_size=4)}
    wiring |= {"precision": "float32", "channels_last": False, "ema_decay": 0.0}
    return GanEngine(
        generator=generator,
        discriminator=discriminator,
        objective=objective,
        generator_optimizer=optimizers[0],
        discriminator_optimizer=optimizers[1],
        **{**wiring, **settings},
    )


@pytest.fixture
def plain():
    torch.manual_seed(0)
    return (
        DCGANGenerator(normalization="none", **SHAPE),
        DCGANDiscriminator(normalization="none", **SHAPE),
    )


def test_acgan_is_told_the_labels_of_the_reals_and_samples_its_classes_in_turn():
    torch.manual_seed(0)
    seen = []
    terms = {"adversarial": non_saturating_discriminator, "classes": class_discriminator}
    engine = make_engine(
        ACGANGenerator(classes=2, **SHAPE),
        ACGANDiscriminator(classes=2, **SHAPE),
        Objective(terms, {"classes": lambda step: seen.append((step.condition, step.labels)) or class_generator(step)}),
        condition="labels",
    )
    engine.run()
    for condition, labels in seen:
        assert condition.tolist() == labels.tolist() == [0, 1, 0, 1]
    asked = []
    engine.generator.register_forward_pre_hook(lambda module, inputs: asked.append(inputs[1].tolist()))
    assert engine.sample(5).shape == (5, 1, 32, 32)
    assert [label for batch in asked for label in batch] == [0, 1, 0, 1, 0]


def test_iagan_is_given_the_very_films_it_is_compared_with():
    torch.manual_seed(0)
    seen = []

    def term(step):
        seen.append(torch.equal(step.condition, step.reals[-1]))
        return dissimilar_least_squares_generator(step)

    objective = Objective({"adversarial": least_squares_discriminator}, {"adversarial": term})
    networks = IAGANGenerator(**SHAPE), DCGANDiscriminator(base_size=8, **SHAPE)
    engine = make_engine(*networks, objective, condition="images")
    engine.run()
    assert seen == [True, True]
    asked = []
    engine.generator.register_forward_pre_hook(lambda module, inputs: asked.extend(inputs[1]))
    dataset = engine.data_loader.dataset
    films = [dataset[place]["image"] for place in range(len(dataset))]
    for count in (3, 2 * len(films), 10 * len(films)):
        asked.clear()
        assert engine.sample(count).shape == (count, 1, 32, 32)
        used = [sum(torch.equal(film, each) for each in asked) for film in films]
        assert max(used) - min(used) <= 1


def test_parts_of_a_batch_give_the_gradient_of_the_whole(plain):
    whole = make_engine(*copy.deepcopy(plain))
    parts = make_engine(*copy.deepcopy(plain), micro_batches=2)
    for engine in (whole, parts):
        engine.run()
    for name in ("generator", "discriminator"):
        ours, theirs = (getattr(engine, name).state_dict() for engine in (parts, whole))
        for key, value in ours.items():
            torch.testing.assert_close(value, theirs[key], rtol=1e-3, atol=2e-5, msg=f"{name}.{key}")
    assert whole.state.output["fakes"].shape == parts.state.output["fakes"].shape == (4, 1, 32, 32)


def test_clipped_gradients_have_the_length_asked_for(plain):
    lengths = []
    engine = make_engine(*plain, gradient_clip=1e-5)
    for optimizer in (engine.optimizer, engine.discriminator_optimizer):
        optimizer.register_step_pre_hook(
            lambda this, *rest: lengths.append(
                torch.cat([p.grad.flatten() for group in this.param_groups for p in group["params"]]).norm().item()
            )
        )
    engine.run()
    assert lengths == pytest.approx([1e-5] * 4, rel=1e-2)


def test_lazy_penalty_is_taken_every_second_time_twice_as_large(plain):
    torch.manual_seed(0)
    penalty = Lazy(r1_penalty, every=2)
    objective = Objective({"adversarial": non_saturating_discriminator, "r1": penalty}, PLAIN.generator)
    engine, told = make_engine(*plain, objective, max_epochs=2), []
    engine.add_event_handler(
        Events.ITERATION_COMPLETED, lambda e: told.append("discriminator/r1" in e.state.output["losses"])
    )
    engine.run()
    assert told == [True, False, True, False]
    step = SimpleNamespace()
    assert Lazy(lambda step: 3.0, every=16)(step) == 48.0


def test_augmentation_is_seen_by_the_discriminator_only_and_adapts(plain):
    torch.manual_seed(0)
    seen = []
    plain[1].register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0][-1].detach().clone()))
    augment = DiffAugment(["cutout"], probability=1.0, target=0.6, images_to_full=16)
    engine = make_engine(*plain, augment=augment, max_epochs=2)
    engine.run()
    assert all((images == 0).flatten(1).any(1).all() for images in seen[:9])
    assert not (engine.state.output["fakes"] == 0).any()
    assert augment.probability.item() in (0.0, 1.0)  # 4 batches of 4 over 16 images: a whole step
    assert "augment" in engine.objects_to_save()


def test_schedules_step_after_each_epoch_and_are_saved(plain):
    engine = make_engine(*plain, max_epochs=3)
    schedule = torch.optim.lr_scheduler.StepLR(engine.optimizer, step_size=1, gamma=0.1)
    engine.schedulers["generator"] = schedule
    engine.run()
    assert engine.optimizer.param_groups[0]["lr"] == pytest.approx(1e-6)
    assert engine.discriminator_optimizer.param_groups[0]["lr"] == pytest.approx(1e-3)
    assert engine.objects_to_save()["generator_scheduler"] is schedule


def test_sampling_in_between_changes_nothing_in_the_training(plain):
    watched, alone = (make_engine(*copy.deepcopy(plain), max_epochs=2) for _ in range(2))
    pictures = []
    watched.add_event_handler(Events.ITERATION_COMPLETED, lambda e: pictures.append(e.sample(3, seed=5)))
    for engine in (watched, alone):
        torch.manual_seed(3)
        engine.run()
    for ours, theirs in zip(watched.generator.parameters(), alone.generator.parameters(), strict=True):
        assert torch.equal(ours, theirs)
    assert pictures[0].min() >= 0
    assert pictures[0].max() <= 1
    assert torch.equal(watched.sample(3, seed=5), watched.sample(7, seed=5)[:3])


def test_networks_are_compiled_on_request_and_keep_their_names(plain, monkeypatch):
    modes = []
    monkeypatch.setattr(torch.nn.Module, "compile", lambda self, mode: modes.append(mode))
    engine = make_engine(*plain, compile_mode="reduce-overhead")
    assert modes == ["reduce-overhead"] * 2
    assert set(engine.generator.state_dict()) == set(DCGANGenerator(normalization="none", **SHAPE).state_dict())


@pytest.mark.parametrize(
    "setting",
    [{"condition": "text"}, {"micro_batches": 0}, {"gradient_clip": -1}, {"compile_mode": "fast"}, {"seed": -1}],
)
def test_impossible_settings_are_refused(plain, setting):
    with pytest.raises(ConfigurationError, match=next(iter(setting))):
        make_engine(*plain, **setting)


def test_labels_that_are_not_there_are_asked_for(plain):
    engine = make_engine(*plain, condition="labels", train_data_loader=DataLoader(torch.rand(4, 1, 32, 32), 4))
    with pytest.raises(ConfigurationError, match="batches without labels"):
        engine.run()


def test_what_was_frozen_in_the_discriminator_stays_frozen():
    discriminator = DCGANDiscriminator(**SHAPE)
    frozen = next(discriminator.parameters()).requires_grad_(False)
    before = frozen.clone()
    make_engine(DCGANGenerator(**SHAPE), discriminator).run()
    assert not frozen.requires_grad
    assert torch.equal(frozen, before)
    assert all(p.requires_grad for p in list(discriminator.parameters())[1:])


def test_clipping_and_augmentation_are_part_of_the_record():
    plain, other = (
        make_engine(DCGANGenerator(**SHAPE), DCGANDiscriminator(**SHAPE), **settings).details
        for settings in ({}, {"gradient_clip": 1.0, "augment": DiffAugment(("cutout",))})
    )
    assert {name for name in plain if plain[name] != other[name]} == {"engine", "augmentation"}


def test_terms_draw_from_a_stream_of_their_own():
    sources = make_engine(DCGANGenerator(**SHAPE), DCGANDiscriminator(**SHAPE), seed=3).random_sources()
    latents, terms = (torch.rand(100, generator=source) for source in sources.values())
    assert abs(torch.corrcoef(torch.stack([latents, terms]))[0, 1]) < 0.4
