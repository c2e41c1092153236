import pytest
import torch

from monai_xr.errors import ConfigurationError
from monai_xr.inferers.attention import activation_map, attention_rollout, look_map
from monai_xr.networks import make_classifier


def images(count=2, size=32):
    return torch.rand(count, 1, size, size, generator=torch.Generator().manual_seed(0)) * 2 - 1


def classifier(backbone="vit_tiny_patch16_224", **settings):
    torch.manual_seed(0)
    return make_classifier(backbone, image_size=32, classes=("a", "b"), **settings).eval()


def test_rollout_equals_the_product_of_the_attention_that_timm_computes():
    network = classifier()
    taken = []
    for block in network.backbone.blocks:
        block.attn.qkv.weight.data *= 8  # uneven attention
        block.attn.fused_attn = False  # so that the weights pass through a module
        block.attn.attn_drop.register_forward_hook(lambda _, given, out: taken.append(out))
    with torch.no_grad():
        network(images())
    expected = torch.eye(17).expand(2, -1, -1)
    for weights in taken[:12]:
        expected = (weights.mean(1) + torch.eye(17)) / 2 @ expected
    found = attention_rollout(network, images())
    torch.testing.assert_close(found, expected[:, 0, 1:].reshape(2, 4, 4), rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(expected.sum(2), torch.ones(2, 17))


@pytest.mark.parametrize("backbone", ["vit_tiny_patch16_224", "resnet18", "convnext_atto"])
def test_map_has_the_size_of_the_film_and_fills_the_range(backbone):
    found = look_map(classifier(backbone), images())
    assert found.shape == (2, 32, 32)
    assert found.amin((1, 2)).tolist() == [0, 0]
    assert found.amax((1, 2)).tolist() in ([1, 1], [0, 0], [0, 1], [1, 0])  # all 0 where nothing speaks for a class


def test_activation_map_sums_to_the_logit_without_bias():
    network = classifier("resnet18")
    head = network.backbone.fc
    head.weight.data.abs_()  # features after a ReLU are not negative, so that nothing is cut off
    with torch.no_grad():
        logits = network(images())
    mean = activation_map(network, images()).mean((1, 2))
    torch.testing.assert_close(mean, logits.max(1).values - head.bias[logits.argmax(1)], rtol=1e-4, atol=1e-5)


def test_network_without_linear_head_has_no_map():
    network = classifier("resnet18")
    network.backbone.fc = torch.nn.Sequential(network.backbone.fc)
    with pytest.raises(ConfigurationError, match="no map for this network : maps : --maps false"):
        activation_map(network, images())


def test_map_that_is_the_same_everywhere_shows_nothing_but_no_noise():
    network = classifier("resnet18")  # sees 32 pixels as one patch
    for images_of_one in (images(), images(1).repeat(2, 1, 1, 1)):
        assert look_map(network, images_of_one).unique().tolist() == [0]
