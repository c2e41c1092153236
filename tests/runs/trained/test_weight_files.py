import json
import pickle
import re
import struct

import pytest
import torch
from safetensors import safe_open

from monai_xr.errors import ModelError
from monai_xr.networks import DCGANGenerator
from monai_xr.runs.trained import load_generator, load_weights, save_weights


def generator(width=4, seed=0):
    torch.manual_seed(seed)
    return DCGANGenerator(image_size=32, width=width)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "generator.safetensors"


def test_weights_come_back_bit_for_bit_with_what_was_said_of_them(path):
    network, other = generator().to(memory_format=torch.channels_last), generator(seed=1)
    sha256 = save_weights(network, path, {"run_id": "r", "epoch": 3})
    with safe_open(path, "pt") as file:  # as another program reads it
        assert file.metadata() == {"run_id": "r", "epoch": "3"}
        assert torch.equal(file.get_tensor("layers.0.0.weight"), network.layers[0][0].weight)
    stored = load_weights(other, path, sha256.upper())
    assert (stored.sha256, stored.metadata) == (sha256, {"run_id": "r", "epoch": "3"})
    for mine, theirs in zip(other.state_dict().values(), network.state_dict().values(), strict=True):
        assert torch.equal(mine, theirs)


def test_generator_is_loaded_from_safetensors(path):
    save_weights(generator(), path, {"run_id": "r", "epoch": 3})
    loaded = load_generator(generator(seed=1), path)
    assert (loaded.run_id, loaded.epoch, loaded.network.training) == ("r", 3, False)
    assert torch.equal(loaded.network.layers[0][0].weight, generator().layers[0][0].weight)


def test_missing_and_other_files_are_refused_by_name(path):
    with pytest.raises(ModelError, match=r"weights cannot be read .* : generator\.safetensors"):
        load_weights(generator(), path)
    save_weights(generator(), path, {})
    with pytest.raises(ModelError, match=r"sha256 of the weights is [0-9a-f]{16}, not 0000000000000000 : generator"):
        load_weights(generator(), path, "0" * 64)
    with pytest.raises(
        ModelError, match=r"layers\.0\.0\.weight is \(100, 16, 4, 4\) in the file and \(100, 32, 4, 4\)"
    ):
        load_weights(generator(width=8), path)
    with pytest.raises(ModelError, match=re.escape("weights.weight is nothing in the file and (1, 1) here")):
        load_weights(torch.nn.Linear(1, 1), path)


@pytest.mark.parametrize("kind", ["empty", "cut", "pickle", "torch", "huge header", "no json"])
def test_what_is_no_whole_safetensors_file_is_refused_by_name(path, kind):
    save_weights(generator(), path, {})
    whole = path.read_bytes()
    content = {
        "empty": b"",
        "cut": whole[:-100],
        "pickle": pickle.dumps({"a": 1}),
        "huge header": struct.pack("<Q", 2**62) + whole[8:],
        "no json": struct.pack("<Q", 8) + json.dumps([1]).encode().ljust(8) + whole,
    }
    if kind == "torch":
        torch.save(generator().state_dict(), path)
    else:
        path.write_bytes(content[kind])
    with pytest.raises(ModelError, match=r"no whole safetensors file \(.*\) : generator\.safetensors"):
        load_weights(generator(), path)


def test_a_torch_file_under_its_own_name_is_refused_too(tmp_path):
    torch.save(generator().state_dict(), tmp_path / "generator.pt")
    with pytest.raises(ModelError, match=r"no whole safetensors file \(.*\) : generator\.pt"):
        load_weights(generator(), tmp_path / "generator.pt")
