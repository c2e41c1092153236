import hashlib
from pathlib import Path

import pytest
import timm
import torch
import torch.nn.functional as F
from efficientnet_lite_pytorch import EfficientNet
from safetensors.torch import save_file
from torch import nn
from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3
from torchmetrics.image.fid import FrechetInceptionDistance
from torchvision.models import densenet121

from monai_xr.errors import ConfigurationError, ModelError, XrError
from monai_xr.metrics import classifier_space, frechet_distance, inception_space, named_space, network_space, xrv_space
from monai_xr.networks import lite0


def images(count: int, *, seed: int = 0) -> torch.Tensor:
    levels = torch.randint(256, (count, 1, 40, 40), generator=torch.Generator().manual_seed(seed))
    return levels / 255


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.fixture(scope="module")
def inception_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Random weights in the layout of the published file."""
    path = tmp_path_factory.mktemp("weights") / "inception.pth"
    with pytest.MonkeyPatch.context() as patch, torch.random.fork_rng():
        torch.manual_seed(0)
        patch.setattr(nn.Module, "load_state_dict", lambda *arguments: None)
        patch.setattr("torch_fidelity.feature_extractor_inceptionv3.load_state_dict_from_url", lambda *a, **k: {})
        torch.save(FeatureExtractorInceptionV3("inception", ["2048"]).state_dict(), path)
    return path


def test_inception_equals_torchmetrics_fid_of_the_same_file(inception_file: Path) -> None:
    real, synthetic = images(3), images(3, seed=1) * 0.6
    space = inception_space(inception_file, sha256=sha256(inception_file))
    theirs = FrechetInceptionDistance(2048, normalize=True, feature_extractor_weights_path=str(inception_file))
    for batch, kind in ((real, True), (synthetic, False)):
        theirs.update((batch * 255).round().expand(-1, 3, -1, -1) / 255, real=kind)
    assert space.name == "inception"
    assert frechet_distance(space(real), space(synthetic)) == pytest.approx(theirs.compute().item(), rel=1e-3)


def test_wrong_inception_file_is_told_by_hash_with_the_download(inception_file: Path) -> None:
    found = sha256(inception_file)[:16]
    with pytest.raises(ModelError, match=f"{found}, not 6726825d0af5f729 .* https://github.com/toshas"):
        inception_space(inception_file)
    with pytest.raises(ModelError, match=r"weights cannot be read .*No such file.* : absent\.pth : download https"):
        named_space("inception=absent.pth")


def test_timm_model_sees_images_as_in_its_training(tmp_path: Path) -> None:
    model = timm.create_model("resnet18", pretrained=False)
    save_file(model.state_dict(), tmp_path / "model.safetensors")
    space = named_space(f"timm/resnet18={tmp_path / 'model.safetensors'}")
    grey = torch.full((2, 1, 50, 50), 0.25)
    mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    seen = ((0.25 - mean) / std).view(1, 3, 1, 1).expand(2, 3, 224, 224)
    model.eval()
    with torch.no_grad():
        expected = model.forward_head(model.forward_features(seen), pre_logits=True)
    assert space.name == "resnet18"
    assert torch.allclose(space(grey), expected, atol=1e-4)


def test_lite0_sees_films_of_any_size_at_224_as_the_published_network_does() -> None:
    theirs = EfficientNet.from_name("efficientnet-lite0")
    theirs.load_state_dict(torch.load(lite0._packaged_file(), weights_only=True))
    grey = images(2)
    levels = F.interpolate(grey * 255, (224, 224), mode="bilinear")
    with torch.no_grad():
        expected = theirs.eval().extract_features(((levels - 127) / 128).expand(-1, 3, -1, -1)).mean((2, 3))
    space = named_space("lite0")
    assert space.name == "lite0"
    torch.testing.assert_close(space(grey), expected, rtol=1e-4, atol=1e-4)


def test_xrv_densenet_sees_values_of_1024_either_side_of_0(tmp_path: Path) -> None:
    model = densenet121(weights=None, num_classes=18)
    model.features.conv0 = nn.Conv2d(1, 64, 7, 2, 3, bias=False)
    extra = {"op_threshs": torch.zeros(18)}
    save_file(model.state_dict() | extra, tmp_path / "nih.safetensors")
    features = xrv_space(tmp_path / "nih.safetensors")(torch.full((1, 1, 64, 64), 0.75))
    model.eval()
    with torch.no_grad():
        maps = torch.relu(model.features(torch.full((1, 1, 224, 224), 512.0)))
    assert torch.allclose(features, maps.mean((2, 3)), rtol=1e-3, atol=1e-3)


class Classifier(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Linear(4, 2)

    def features(self, images: torch.Tensor) -> torch.Tensor:
        return images.flatten(1)[:, :4]

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.head(self.features(images))


def test_a_classifiers_features_are_those_before_its_head_and_refused_within_one_class() -> None:
    space = classifier_space("cxr", Classifier())
    assert torch.allclose(space(images(3)), images(3).flatten(1)[:, :4] * 2 - 1)
    with pytest.raises(ConfigurationError, match="within one class : space cxr"):
        space.check_within_class()
    network_space("cxr", nn.Flatten()).check_within_class()


def test_refuses_in_one_line(tmp_path: Path) -> None:
    save_file({"conv1.weight": torch.zeros(3)}, tmp_path / "other.safetensors")
    (tmp_path / "pickle.pt").write_bytes(b"\x80\x04not tensors")
    cases = {
        "imagenet": "no feature space 'imagenet' .* random, lite0, inception=FILE",
        "timm/resnet99=x": "timm has no model 'resnet99'",
        "timm/resnet18=absent": "weights cannot be read",
        f"timm/resnet18={tmp_path / 'other.safetensors'}": "weights do not fit",
        f"xrv={tmp_path / 'pickle.pt'}": "hold code or are damaged",
    }
    for name, message in cases.items():
        with pytest.raises(XrError, match=message) as failure:
            named_space(name)
        assert "\n" not in str(failure.value)
