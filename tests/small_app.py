"""An app whose network looks at the grey of the lungs, in the form of `monai-xr export`: `write_small_app`."""

import hashlib
import json
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from monai_xr.deploy.app_folder import write_app, write_checksums

CLASSES = ("NORMAL", "CONSOLIDATION")


def write_small_app(folder: Path, *, size: int = 32) -> Path:
    """Write the app; give its folder."""
    models = folder / "models" / "small"
    models.mkdir(parents=True)
    network = _network(size)
    (models / "model.onnx").write_bytes(network)
    digest = hashlib.sha256(network).hexdigest()
    aiin = {"tile_grid_size": [4, 4], "clip_limit": 10.0, "mode": "opencv", "bits": 8}
    decision = {
        "classes": list(CLASSES),
        "multi_label": False,
        "temperature": 1.0,
        "thresholds": [0.5, 0.5],
        "half_widths": [0.05, 0.05],
        "positive": CLASSES[1],
        "negatives": [CLASSES[0]],
        "rule": "youden",
        "films": 0,
    }
    about = {
        "name": "small",
        "version": "0",
        "model_hash": digest,
        "sha256": {"model.onnx": digest},
        "inputs": {"image_size": size, "fit": "squash", "aiin": aiin},
        "decision": decision,
    }
    (models / "model.json").write_text(json.dumps(about))
    write_app(folder, "small", "Small app", "0")
    write_checksums(folder)
    return folder


def _network(size: int) -> bytes:
    """Two logits from the mean grey of the lungs, four features, and the film as the place looked at."""
    lungs = np.zeros((size, size), np.float32)
    lungs[size // 4 : 3 * size // 4, size // 6 : -size // 6] = 1
    weights = np.stack([np.zeros(size * size, np.float32), 12 * (lungs / lungs.sum()).ravel()]).astype(np.float32)
    nodes = [
        helper.make_node("Flatten", ["images"], ["flat"]),
        helper.make_node("Gemm", ["flat", "weights", "bias"], ["logits"], transB=1),
        helper.make_node("AveragePool", ["images"], ["pooled"], kernel_shape=[size // 2] * 2, strides=[size // 2] * 2),
        helper.make_node("Flatten", ["pooled"], ["features"]),
        helper.make_node("Squeeze", ["images", "channel"], ["grey"]),
        helper.make_node("Sigmoid", ["grey"], ["look"]),
    ]
    image = helper.make_tensor_value_info("images", TensorProto.FLOAT, ["N", 1, size, size])
    outputs = {"logits": ["N", 2], "features": ["N", 4], "look": ["N", size, size]}
    graph = helper.make_graph(
        nodes,
        "small",
        [image],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in outputs.items()],
        [
            numpy_helper.from_array(weights, "weights"),
            numpy_helper.from_array(np.array([0, 1], np.float32), "bias"),
            numpy_helper.from_array(np.array([1], np.int64), "channel"),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())


if __name__ == "__main__":
    import sys

    write_small_app(Path(sys.argv[1]))
