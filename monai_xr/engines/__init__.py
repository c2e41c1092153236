"""Networks and batches in, trained networks out: an engine for GANs, one for classifiers, one that runs them."""

from monai_xr.engines.classifier_engine import ClassifierEngine
from monai_xr.engines.evaluator import sampler
from monai_xr.engines.gan_engine import GanEngine
from monai_xr.engines.host import pick_device, pick_precision

__all__ = ["ClassifierEngine", "GanEngine", "pick_device", "pick_precision", "sampler"]
