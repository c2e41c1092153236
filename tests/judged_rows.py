"""Rows of measures with a finding each, for what is read off them."""

from dataclasses import replace

from monai_xr.metrics.measures import Finding, Measure


def judged(ratio: tuple[float, float] = (0.9, 1.4), **findings: Finding) -> dict[str, Measure]:
    """Rows with a finding each."""
    names = {
        "excess": "ms_ssim_excess",
        "repeats": "repeats_synthetic",
        "recall": "recall_9_random",
        "coverage": "coverage_9_random",
        "precision": "precision_9_random",
        "near": "near_training_9_pixels",
        "attack": "attack_auc_pixels",
        "synthetic": "ms_ssim_synthetic",
        "real": "ms_ssim_real",
    }
    rows = {name: Measure(name, key, 0.5, finding=findings.get(key, "none")) for key, name in names.items()}
    rows["ms_ssim_excess"] = replace(rows["ms_ssim_excess"], interval=(-0.01, 0.02), baseline=0.04)
    return rows | {"fid_9_random_over_floor": Measure("", "", ratio[0], ratio)}
