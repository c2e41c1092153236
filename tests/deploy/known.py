"""A model whose answers are known by hand, and films of phantoms."""

import hashlib
import json
from pathlib import Path

import onnx
from onnx import TensorProto, helper

from monai_xr.data.phantoms import make_phantom
from monai_xr.deploy.core.model import sealed
from monai_xr.dicom.writing import PhantomHeader, write_phantom

SIZE = 32
DECISION = {
    "classes": ["NORMAL", "PNEUMONIA"], "multi_label": False, "temperature": 2.0, "thresholds": [0.7, 0.3],
    "half_widths": [0.1, 0.1], "positive": "PNEUMONIA", "negatives": ["NORMAL"],
}  # fmt: skip


def write_model(folder: Path, *, decision=None, weights=(-4.0, 4.0), size=SIZE) -> Path:
    """An exported model: its logits are multiples of the mean of the input, its map is the input above 0."""
    place = folder / "models" / "brightness"
    place.mkdir(parents=True)
    nodes = [
        helper.make_node("ReduceMean", ["images"], ["mean"], axes=[1, 2, 3], keepdims=0),
        helper.make_node("Reshape", ["mean", "column"], ["features"]),
        helper.make_node("MatMul", ["features", "weights"], ["logits"]),
        helper.make_node("Squeeze", ["images"], ["plane"], axes=[1]),
        helper.make_node("Relu", ["plane"], ["look"]),
    ]
    fixed = [
        helper.make_tensor("column", TensorProto.INT64, [2], [1, 1]),
        helper.make_tensor("weights", TensorProto.FLOAT, [1, len(weights)], weights),
    ]
    shapes = {"logits": [1, len(weights)], "features": [1, 1], "look": [1, size, size]}
    outputs = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in shapes.items()]
    taken = [helper.make_tensor_value_info("images", TensorProto.FLOAT, [1, 1, size, size])]
    graph = helper.make_graph(nodes, "brightness", taken, outputs, fixed)
    network = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 11)], ir_version=8)
    onnx.save(network, place / "model.onnx")
    digest = hashlib.sha256((place / "model.onnx").read_bytes()).hexdigest()
    about = {
        "name": "brightness", "version": "0.1.0", "model_hash": "ab" * 32, "sha256": {"model.onnx": digest},
        "inputs": {"image_size": size, "fit": "squash", "aiin": None}, "decision": decision or DECISION,
    }  # fmt: skip
    (place / "model.json").write_text(json.dumps(sealed(about)))
    return folder / "models"


def phantom_film(path: Path, key: str = "film", **header) -> Path:
    """One phantom of one study, a DX film for presentation unless told otherwise."""
    path.parent.mkdir(parents=True, exist_ok=True)
    known = {"study_key": "study", "key": key, "spacing_mm": 0.5, "dx": True} | header
    pixels = make_phantom(0, "NORMAL", size=128).pixels
    write_phantom(path, pixels, PhantomHeader("SYNTH-1", "F", 60, **known))
    return path
