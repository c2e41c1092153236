import copy

import pytest
import torch
import torch.nn.functional as F
from ignite.engine import Events
from monai.engines import SupervisedTrainer
from torch.utils.data import DataLoader, Dataset

from monai_xr.engines import ClassifierEngine
from monai_xr.errors import ConfigurationError, DivergedError
from monai_xr.handlers import Checkpoint, RunEvents, StopOnNonFinite
from monai_xr.losses import ClassLoss, VICReg
from monai_xr.networks import XrayEncoder, make_classifier
from monai_xr.optimizers import layered_adamw
from monai_xr.transforms import Augmentation, TwoViews


class Films(Dataset):
    """Bright and dark films of 32 px."""

    def __len__(self):
        return 12

    def __getitem__(self, index):
        label = index % 2
        noise = torch.rand(1, 32, 32, generator=torch.Generator().manual_seed(index))
        return {"image": 0.5 * noise + label - 0.75, "target": torch.eye(2)[label], "index": index}


def engine(max_epochs=1, handlers=(), backbone="resnet18", **settings):
    torch.manual_seed(0)
    network = make_classifier(backbone, image_size=32, classes=("dark", "bright"))
    wiring = {
        "device": "cpu",
        "max_epochs": max_epochs,
        "train_data_loader": DataLoader(Films(), batch_size=4),
        "network": network,
        "optimizer": layered_adamw(network, learning_rate=1e-3),
        "loss_function": ClassLoss(),
        "precision": "float32",
        "channels_last": False,
        "train_handlers": list(handlers),
    }
    return ClassifierEngine(**{**wiring, **settings})


def weights(network):
    return {name: value.clone() for name, value in network.state_dict().items()}


def test_engine_is_monais_and_equals_the_textbook_loop():
    ours = engine(ema_decay=0, warm_epochs=0, gradient_clip=0.5)
    assert isinstance(ours, SupervisedTrainer)
    network = copy.deepcopy(ours.network).train()
    optimizer = layered_adamw(network, learning_rate=1e-3)
    for step, batch in enumerate(DataLoader(Films(), batch_size=4)):
        for group in optimizer.param_groups:
            group["lr"] = 1e-3 * (0.01 + 0.99 * (1 + torch.cos(torch.tensor(step / 3 * torch.pi)).item()) / 2)
        optimizer.zero_grad()
        F.cross_entropy(network(batch["image"]), batch["target"].argmax(1)).backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 0.5)
        optimizer.step()
    ours.run()
    for name, value in network.state_dict().items():
        torch.testing.assert_close(ours.network.state_dict()[name], value, rtol=1e-4, atol=1e-6, msg=name)


def test_average_follows_the_network_and_is_the_one_to_judge():
    trained = engine(ema_decay=0.9)
    start = weights(trained.network)["backbone.fc.bias"]
    trained.run()
    end = weights(trained.network)["backbone.fc.bias"]
    averaged = weights(trained.best_guess)["backbone.fc.bias"]
    assert trained.best_guess is trained.ema_network
    assert ((averaged - start).abs() < (end - start).abs()).any()
    assert not torch.equal(averaged, end)


def test_resumed_training_equals_an_uninterrupted_one_bit_for_bit(tmp_path):
    augment = Augmentation(mixup=0.3, flip=0.5)
    whole = engine(2, augment=augment)
    whole.run()
    first = engine(2, [Checkpoint(tmp_path / "c")], augment=augment)
    first.add_event_handler(Events.EPOCH_COMPLETED, lambda: first.terminate())
    first.run()
    assert first.state.epoch == 1
    second = engine(2, [Checkpoint(tmp_path / "c", resume=True)], augment=augment)
    torch.manual_seed(99)
    second.run()
    for name, value in whole.objects_to_save()["ema_network"].state_dict().items():
        assert torch.equal(second.ema_network.state_dict()[name], value), name


def test_run_that_diverges_stops_with_its_own_failure_and_tells_the_outcome():
    outcomes = []
    broken = engine(2, [StopOnNonFinite()], loss_function=lambda logits, targets: logits.sum() * float("nan"))
    broken.add_event_handler(RunEvents.STOPPED, lambda: outcomes.append(broken.state.outcome))
    with pytest.raises(DivergedError, match=r"classifier/total, .* not finite in iteration 1"):
        broken.run()
    assert outcomes == ["failed"]


def test_reduced_precision_learns_the_same_task():
    trained = engine(6, precision="bfloat16", backbone="vit_tiny_patch16_224", channels_last=True, ema_decay=0)
    trained.run()
    assert trained.state.output["loss"].dtype is torch.float32
    assert trained.state.output["loss"] < 0.2


def test_decay_that_is_none():
    with pytest.raises(ConfigurationError, match="1 is out of range : ema_decay"):
        engine(ema_decay=1)


class Unlabelled(Films):
    """The same films, with the number of a class alone, as `XrayDataset` gives them."""

    def __getitem__(self, index):
        return {"image": super().__getitem__(index)["image"], "label": index % 2}


def test_encoder_learns_from_two_views_of_each_film_and_resumes_bit_for_bit(tmp_path):
    def encoder(epochs, handlers=()):
        torch.manual_seed(0)
        network = XrayEncoder(32, width=4, features=4)
        return engine(
            epochs, handlers, network=network, optimizer=torch.optim.AdamW(network.parameters(), lr=1e-2),
            train_data_loader=DataLoader(Unlabelled(), batch_size=6), loss_function=VICReg(),
            augment=TwoViews(Augmentation()), ema_decay=0, player="encoder",
        )  # fmt: skip

    whole = encoder(3)
    whole.run()
    assert list(whole.state.output["losses"]) == ["encoder/total"]
    assert whole.state.output["pred"].shape == (12, 4)
    first = encoder(3, [Checkpoint(tmp_path / "c")])
    first.add_event_handler(Events.EPOCH_COMPLETED, lambda: first.terminate())
    first.run()
    second = encoder(3, [Checkpoint(tmp_path / "c", resume=True)])
    second.run()
    for name, value in whole.network.state_dict().items():
        assert torch.equal(second.network.state_dict()[name], value), name
    assert whole.optimizer.param_groups[0]["lr"] < 1e-2 / 3
