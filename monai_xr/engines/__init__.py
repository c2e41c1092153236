"""Networks, objective and batches in, a trained generator out: one engine for all GAN families."""

from monai_xr.engines.gan_engine import GanEngine
from monai_xr.engines.host import pick_device, pick_precision

__all__ = ["GanEngine", "pick_device", "pick_precision"]
