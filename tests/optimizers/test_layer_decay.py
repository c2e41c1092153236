import pytest

from monai_xr.errors import ConfigurationError
from monai_xr.networks import make_classifier
from monai_xr.optimizers import layered_adamw, set_learning_rate, warm_cosine


def rates(network, optimizer):
    names = {id(parameter): name for name, parameter in network.named_parameters()}
    return {names[id(p)]: (g["lr"], g["weight_decay"]) for g in optimizer.param_groups for p in g["params"]}


def test_rate_falls_by_the_factor_from_block_to_block_and_norms_do_not_decay():
    network = make_classifier("vit_tiny_patch16_224", image_size=32, classes=("a", "b"))
    found = rates(network, layered_adamw(network, learning_rate=1.0, weight_decay=0.1, layer_decay=0.5))
    assert len(found) == len(list(network.parameters()))
    assert found["backbone.head.weight"] == (1.0, 0.1)
    for block in range(12):
        rate, decay = found[f"backbone.blocks.{block}.mlp.fc1.weight"]
        assert rate == pytest.approx(0.5 ** (12 - block))
        assert decay == 0.1
    assert found["backbone.blocks.0.norm1.weight"][1] == found["backbone.pos_embed"][1] == 0


def test_rate_warms_up_and_falls_to_a_hundredth():
    shares = [warm_cosine(step, warm_steps=4, steps=24) for step in range(25)]
    assert shares[:5] == pytest.approx([0.2, 0.4, 0.6, 0.8, 1.0])
    assert shares[14] == pytest.approx(0.505)  # half way down
    assert shares[24] == pytest.approx(0.01)


def test_every_group_gets_its_share_of_its_own_peak():
    network = make_classifier("vit_tiny_patch16_224", image_size=32, classes=("a", "b"))
    optimizer = layered_adamw(network, learning_rate=1.0, layer_decay=0.5)
    before = rates(network, optimizer)
    set_learning_rate(optimizer, 0.1)
    after = rates(network, optimizer)
    assert all(after[name][0] == pytest.approx(0.1 * before[name][0]) for name in before)


def test_numbers_out_of_range():
    network = make_classifier("resnet18", image_size=32, classes=("a", "b"))
    with pytest.raises(ConfigurationError, match=r"learning rate 0, layer decay 1\.0 : learning_rate"):
        layered_adamw(network, learning_rate=0)
