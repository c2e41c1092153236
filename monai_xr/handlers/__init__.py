"""What attaches to an engine: checkpoints, tracking, pictures, alarms, writers; each imported when it is first used."""

from monai_xr.lazy import used_when_asked

_HOMES = {
    "Checkpoint": "checkpointing.checkpoint",
    "CurvePicture": "curve_picture",
    "EpochLosses": "epoch_losses",
    "FeaturesWriter": "features_writer",
    "FindingsWriter": "findings_writer",
    "GanMetrics": "gan_metrics",
    "HealthWatch": "health.health",
    "ImageGrid": "image_grid",
    "Progress": "progress",
    "RunEvents": "events",
    "RunRecord": "run_record",
    "StopOnNonFinite": "non_finite",
    "SyntheticWriter": "synthetic_writer",
    "Tracking": "tracking.tracking",
    "TrainedWeights": "trained_weights",
    "Validation": "validation",
    "usual_handlers": "usual",
}
__all__ = list(_HOMES)
__getattr__ = used_when_asked(__name__, _HOMES)
