"""AnoGAN without torch: gradients against autograd, scores against the search by torch, the app on a film."""

import json
from pathlib import Path

import numpy as np
import pydicom
import pytest
import torch
from deploy.known import phantom_film
from torch import nn

from monai_xr.deploy.anogan import export_anogan
from monai_xr.deploy.core import load_model, run_folder
from monai_xr.deploy.exporting import export_app
from monai_xr.deploy.gradients import Gradients, Reshaped, SearchStep
from monai_xr.errors import ConfigurationError, ModelError
from monai_xr.inferers.latent_search import SearchSettings, search_latents
from monai_xr.networks import DCGANDiscriminator, DCGANGenerator
from monai_xr.runs import RunFolder
from monai_xr.runs.checkpoint_files import save_checkpoint
from monai_xr.runs.trained import load_discriminator, load_generator

SIZE, WIDTH, LATENTS = 32, 8, 12
SEARCH = SearchSettings(steps=60)
KINDS = {
    "bundle": {},
    "elu": {"activation": "elu", "normalization": "none"},
    "linear": {"projection": "linear", "base_size": 8},
}


def networks(**settings):
    """A generator and a discriminator whose statistics are those of no fresh network."""
    torch.manual_seed(0)
    shared = {name: value for name, value in settings.items() if name in ("activation", "normalization")}
    generator = DCGANGenerator(image_size=SIZE, width=WIDTH, latent_size=LATENTS, **settings).eval()
    discriminator = DCGANDiscriminator(image_size=SIZE, width=WIDTH, **shared).eval()
    for layer in [*generator.modules(), *discriminator.modules()]:
        if isinstance(layer, nn.BatchNorm2d):
            layer.running_mean.normal_(0, 0.1)
            layer.running_var.uniform_(0.01, 0.2)
    return generator, discriminator


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """The run folder of a DCGAN."""
    folder = tmp_path_factory.mktemp("run") / "run"
    generator, discriminator = networks()
    made = {"image_size": SIZE, "width": WIDTH}
    record = {
        "settings": {
            "bundle": "chest_xray_dcgan", "image_size": SIZE, "aiin": "none", "width": WIDTH, "latent_size": LATENTS,
        },
        "networks": {
            "generator": {"_target_": "monai_xr.networks.DCGANGenerator", **made, "latent_size": LATENTS},
            "discriminator": {"_target_": "monai_xr.networks.DCGANDiscriminator", **made},
        },
        "data": {"manifest_sha256": "c0ffee", "images_per_class": {"NORMAL": 3}, "fit": "pad"},
        "run_id": "r1",
    }  # fmt: skip
    states = {"generator": generator.state_dict(), "discriminator": discriminator.state_dict()}
    save_checkpoint(folder / "checkpoints", 2, {"epoch": 2, "objects": states}, keep=2)
    (folder / "run.json").write_text(json.dumps(record))
    return folder


@pytest.fixture(scope="module")
def app(run, tmp_path_factory):
    folder = tmp_path_factory.mktemp("exported") / "app"
    export_app(run, folder, SEARCH)
    return folder


@pytest.mark.parametrize("kind", KINDS)
def test_gradient_is_that_of_autograd(kind):
    generator, discriminator = networks(**KINDS[kind])
    step = SearchStep(Gradients([Reshaped(), generator.layers]), Gradients([discriminator.layers, nn.Flatten()]), 0.2)
    draw = torch.Generator().manual_seed(1)
    latents = torch.randn(1, LATENTS, generator=draw, requires_grad=True)
    image = 2 * torch.rand(1, 1, SIZE, SIZE, generator=draw) - 1
    seen = discriminator([image]).features.detach()
    made = generator(latents)
    loss = 0.8 * (image - made[0]).abs().sum() + 0.2 * (seen - discriminator(made).features).abs().sum()
    (expected,) = torch.autograd.grad(loss, latents)
    with torch.no_grad():
        found, gradient = step.eval()(latents, image, seen)
    torch.testing.assert_close(found[0], loss.detach())
    torch.testing.assert_close(gradient, expected, rtol=1e-4, atol=1e-5 * float(expected.abs().max()))


def test_layers_without_a_known_gradient_are_refused():
    generator, _ = networks(head="convolution")
    with pytest.raises(ConfigurationError, match="no gradient of Conv2d for ONNX : network : export the bundle"):
        Gradients([generator.layers])


def test_app_scores_films_as_the_search_by_torch(run, app, tmp_path):
    phantom_film(tmp_path / "in" / "film.dcm")
    (result,) = run_folder(tmp_path / "in", load_model(app / "models"), tmp_path / "out", accept_phantoms=True)
    (film,) = result.films
    generator, discriminator = DCGANGenerator(image_size=SIZE, width=WIDTH, latent_size=LATENTS), None
    load_generator(generator, run / "checkpoints")
    discriminator = load_discriminator(RunFolder(run))
    image = torch.from_numpy(film.network_input)[None, None]
    scores, made = search_latents(
        lambda z: generator(z)[-1], lambda x: discriminator([x]).features, image, LATENTS, SEARCH
    )
    assert film.score == pytest.approx(float(scores), rel=0.01)
    away = (made - image).abs()[0, 0].numpy()
    assert np.corrcoef(film.look.ravel(), away.ravel())[0, 1] > 0.99
    np.testing.assert_allclose(film.embedding, discriminator([image]).features[0].detach(), atol=1e-5)


def test_report_holds_the_score_and_how_it_was_searched(app, tmp_path):
    phantom_film(tmp_path / "in" / "film.dcm")
    (result,) = run_folder(tmp_path / "in", load_model(app / "models"), tmp_path / "out", accept_phantoms=True)
    report = pydicom.dcmread(result.written[0])
    assert report.Modality == "SR"
    numbers = [each for each in report.iterall() if each.keyword == "NumericValue"]
    assert [float(each.value) for each in numbers] == [pytest.approx(result.films[0].score, abs=1e-5)]
    texts = {each.value for each in report.iterall() if each.keyword == "TextValue"}
    assert {"steps=60", "feature_weight=0.2"} <= texts
    assert sorted(path.name[:2] for path in result.written) == ["OT", "PR", "SR"]


def test_films_are_fitted_as_those_of_the_training(app):
    assert load_model(app / "models").inputs.fit == "pad"


def test_provenance_tells_by_how_much_the_exported_networks_differ(app):
    told = json.loads((app / "provenance.json").read_text())
    found = told["differences_from_the_network"]["onnx"]
    assert found.keys() == {"image", "features", "score"}
    assert max(found["image"], found["features"]) < 1e-5
    assert found["score"] < 0.01
    assert told["trained_on"]["manifest_sha256"] == "c0ffee"


def test_other_generators_are_refused(tmp_path):
    (tmp_path / "run.json").write_text(json.dumps({"settings": {}, "networks": {}}))
    with pytest.raises(ModelError, match="no discriminator recorded here"):
        export_anogan(RunFolder(tmp_path), Path("x"), [], SEARCH)
