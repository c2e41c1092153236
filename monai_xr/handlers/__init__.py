"""What watches a training: checkpoints, tracking, pictures, health."""

from monai_xr.handlers.checkpointing.checkpoint import Checkpoint
from monai_xr.handlers.events import RunEvents
from monai_xr.handlers.findings_writer import FindingsWriter
from monai_xr.handlers.gan_metrics import GanMetrics
from monai_xr.handlers.health.health import HealthWatch
from monai_xr.handlers.image_grid import ImageGrid
from monai_xr.handlers.losses import EpochLosses
from monai_xr.handlers.non_finite import StopOnNonFinite
from monai_xr.handlers.progress import Progress
from monai_xr.handlers.run_record import RunRecord
from monai_xr.handlers.synthetic_writer import SyntheticWriter
from monai_xr.handlers.tracking.tracking import Tracking
from monai_xr.handlers.validation import Validation
from monai_xr.runs.alarm_log import read_alarms
from monai_xr.runs.trained.trained_classifier import TrainedClassifier, load_classifier
from monai_xr.runs.trained.trained_generator import LoadedGenerator, generator_as_trained, load_generator
from monai_xr.runs.trained.weights import load_weights, save_weights

__all__ = [
    "Checkpoint",
    "EpochLosses",
    "FindingsWriter",
    "GanMetrics",
    "HealthWatch",
    "ImageGrid",
    "LoadedGenerator",
    "Progress",
    "RunEvents",
    "RunRecord",
    "StopOnNonFinite",
    "SyntheticWriter",
    "Tracking",
    "TrainedClassifier",
    "Validation",
    "generator_as_trained",
    "load_classifier",
    "load_generator",
    "load_weights",
    "read_alarms",
    "save_weights",
]
