"""Trains networks on batches: engines for GANs, classifiers and linear probes; also runs any network over images."""

from monai_xr.engines.classifier_engine import ClassifierEngine
from monai_xr.engines.evaluator import sampler
from monai_xr.engines.gan_engine import GanEngine
from monai_xr.engines.host import pick_device, pick_precision
from monai_xr.engines.probe_engine import ProbeEngine

__all__ = ["ClassifierEngine", "GanEngine", "ProbeEngine", "pick_device", "pick_precision", "sampler"]
