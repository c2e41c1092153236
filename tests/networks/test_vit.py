import hashlib
import pickle

import pytest
import timm
import torch
from safetensors.torch import save_file

from monai_xr.errors import ConfigurationError, ModelError
from monai_xr.networks import make_classifier

TINY = "vit_tiny_patch16_224"
TWO = ("NORMAL", "PNEUMONIA")


def images(size: int, count: int = 2) -> torch.Tensor:
    return torch.rand(count, 1, size, size, generator=torch.Generator().manual_seed(0)) * 2 - 1


@pytest.mark.parametrize(
    ("backbone", "size"),
    [(TINY, 32), (TINY, 64), ("vit_small_patch14_dinov2", 64), ("resnet18", 64), ("convnext_atto", 64)],
)
def test_gives_logits_and_the_features_that_its_last_layer_sees(backbone, size):
    network = make_classifier(backbone, image_size=size, classes=("a", "b", "c")).eval()
    with torch.no_grad():
        logits, features = network(images(size)), network.features(images(size))
        assert logits.shape == (2, 3)
        torch.testing.assert_close(network.backbone.get_classifier()(features), logits)


@pytest.mark.parametrize(("size", "tokens"), [(32, 16), (64, 16), (96, 36), (128, 64), (224, 196)])
def test_patch_is_chosen_for_the_image_size(size, tokens):
    network = make_classifier(TINY, image_size=size, classes=TWO)
    assert network.backbone.patch_embed.num_patches == tokens
    assert network.weights_from == "from scratch"


@pytest.fixture
def colour_weights(tmp_path):
    torch.manual_seed(0)
    network = timm.create_model(TINY, img_size=64, num_classes=10).eval()
    path = tmp_path / "colour.safetensors"
    save_file(network.state_dict(), path)
    return network, path


def test_weights_summed_over_colours_equal_grey_in_three_channels(colour_weights):
    # timm normalises this network's input by mean = std = 0.5, so that [-1, 1] is what it was trained for
    colour, path = colour_weights
    ours = make_classifier(TINY, image_size=64, classes=TWO, weights=path, patch_size=16).eval()
    with torch.no_grad():
        theirs = colour.forward_head(colour.forward_features(images(64).expand(-1, 3, -1, -1)), pre_logits=True)
        torch.testing.assert_close(ours.features(images(64)), theirs, rtol=1e-4, atol=1e-5)
    assert ours.weights_from == f"colour.safetensors {hashlib.sha256(path.read_bytes()).hexdigest()[:16]}"


def test_weights_trained_on_the_range_of_imagenet_get_it(tmp_path):
    torch.manual_seed(0)
    grey = timm.create_model("resnet18", in_chans=1, num_classes=2).eval()
    torch.save(grey.state_dict(), tmp_path / "grey.pt")
    ours = make_classifier("resnet18", image_size=32, classes=TWO, weights=tmp_path / "grey.pt").eval()
    mean, std = (0.485 + 0.456 + 0.406) / 3, (0.229 + 0.224 + 0.225) / 3
    with torch.no_grad():
        expected = grey((images(32) / 2 + 0.5 - mean) / std)
        torch.testing.assert_close(ours(images(32)), expected, rtol=1e-4, atol=1e-5)


def test_position_embedding_is_resampled_to_another_size(colour_weights):
    ours = make_classifier(TINY, image_size=128, classes=TWO, weights=colour_weights[1])
    assert ours.backbone.pos_embed.shape == (1, 65, 192)
    with torch.no_grad():
        assert torch.isfinite(ours.eval()(images(128))).all()


@pytest.mark.filterwarnings("ignore:`torch.jit.trace")
def test_traces_exports_and_gives_the_same(tmp_path):
    network = make_classifier(TINY, image_size=32, classes=TWO).eval()
    with torch.no_grad():
        expected = network(images(32))
        traced = torch.jit.trace(network, images(32))
        torch.testing.assert_close(traced(images(32)), expected)
        exported = torch.export.export(network, (images(32),)).module()
        torch.testing.assert_close(exported(images(32)), expected)


@pytest.mark.parametrize(
    ("knobs", "message"),
    [
        (
            {"backbone": "vit_tiny_patch16_22"},
            "no network 'vit_tiny_patch16_22' : backbone : near: vit_tiny_patch16_224",
        ),
        ({"image_size": 100, "patch_size": 16}, "image size 100 is not divisible by the patch of 16 .* 96, 112, 128"),
        ({"patch_size": "big"}, "'big' is no patch"),
        ({"patch_size": 14, "image_size": 56}, "patch of 14 with a convolutional stem"),
        ({"stem": "conv"}, "unknown stem 'conv' : stem : auto, convolution, patch"),
        ({"backbone": "resnet18", "patch_size": 8}, "resnet18 has no patches"),
        ({"classes": ("a", "a")}, "name each class once"),
    ],
)
def test_settings_that_cannot_work(knobs, message):
    settings = {"backbone": TINY, "image_size": 64, "classes": TWO, **knobs}
    with pytest.raises(ConfigurationError, match=message):
        make_classifier(settings.pop("backbone"), **settings)


class Harm:
    def __reduce__(self):
        return print, ("code ran",)


def test_weights_that_cannot_be_used(colour_weights, tmp_path, capsys):
    path = colour_weights[1]
    with pytest.raises(ModelError, match=r"sha256 of the weights is .* not abc : colour.safetensors : give a file"):
        make_classifier(TINY, image_size=64, classes=TWO, weights=path, weights_sha256="abc")
    with pytest.raises(ModelError, match="weights do not fit vit_small_patch16_224"):
        make_classifier("vit_small_patch16_224", image_size=64, classes=TWO, weights=path)
    with pytest.raises(ModelError, match=r"cannot be read .* : none.pt"):
        make_classifier(TINY, image_size=64, classes=TWO, weights=tmp_path / "none.pt")
    (tmp_path / "code.pt").write_bytes(pickle.dumps({"weight": Harm()}))
    with pytest.raises(ModelError, match="weights hold code or are damaged"):
        make_classifier(TINY, image_size=64, classes=TWO, weights=tmp_path / "code.pt")
    assert "code ran" not in capsys.readouterr().out
    save_file({}, tmp_path / "empty.safetensors")
    with pytest.raises(ModelError, match="no tensors in the weights"):
        make_classifier(TINY, image_size=64, classes=TWO, weights=tmp_path / "empty.safetensors")
