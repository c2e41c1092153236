"""Networks and batches in, trained networks out: one engine for all GAN families, one for classifiers."""

from monai_xr.engines.classifier_engine import ClassifierEngine
from monai_xr.engines.gan_engine import GanEngine
from monai_xr.engines.host import pick_device, pick_precision

__all__ = ["ClassifierEngine", "GanEngine", "pick_device", "pick_precision"]
