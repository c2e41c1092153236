import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from mlflow.tracking import MlflowClient
from torch import nn

from monai_xr.data import find_records
from monai_xr.data.images.lineage import lineage_of
from monai_xr.data.images.png import write_png
from monai_xr.data.pixel_store.building import build_store
from monai_xr.data.trained_on import TrainedOn, units_in, write_lineage
from monai_xr.dicom.writing import write_generated
from monai_xr.errors import ConfigurationError, InputDataError
from monai_xr.metrics import kernel_distance, ms_ssim_of_random_pairs, network_space, random_space
from monai_xr.runs import GeneratedImages, run_folder
from monai_xr.transforms import AIIN
from monai_xr.workflows.judging_images.asked import images_told, settings_asked
from monai_xr.workflows.judging_images.evaluate_sets import evaluate_sets
from monai_xr.workflows.judging_images.evaluation import evaluate_folders
from monai_xr.workflows.judging_images.grids import sample_grids
from monai_xr.workflows.judging_images.measure_log import log_measures


def textures(count: int, *, seed: int, size: int = 32) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.rand(count, 1, 5, 5, generator=generator)
    return torch.nn.functional.interpolate(coarse, (size, size), mode="bicubic").clamp(0, 1)


def test_a_fresh_sample_of_the_real_population_is_not_called_collapsed() -> None:
    found = evaluate_sets(textures(60, seed=0), textures(60, seed=1))
    assert found.finding == "open"
    assert found["fid_30_random_over_floor"].finding == "fine"


def test_a_collapsed_set_is_called_collapsed() -> None:
    noise = 0.05 * torch.randn(40, 1, 32, 32, generator=torch.Generator().manual_seed(0))
    found = evaluate_sets(textures(60, seed=0), (textures(1, seed=1) + noise).clamp(0, 1))
    assert found.finding == "bad"
    ratio = found["fid_30_random_over_floor"].value
    assert ratio is not None
    assert ratio > 3


def test_real_and_synthetic_likeness_use_one_number_of_pairs() -> None:
    real, synthetic = textures(50, seed=0), textures(6, seed=1)
    found = evaluate_sets(real, synthetic, seed=4)
    assert found.settings["pairs"] == 15
    assert found["ms_ssim_real"].value == ms_ssim_of_random_pairs(real, pairs=15, seed=4).mean
    gap, least = found["ms_ssim_gap"].value, found["ms_ssim_synthetic"].value
    assert gap == pytest.approx(least - found["ms_ssim_real"].value)


def test_held_out_images_are_named_as_the_floor() -> None:
    found = evaluate_sets(textures(20, seed=0), textures(12, seed=1), floor=textures(10, seed=2))
    assert found.counts == {"real": 20, "synthetic": 12, "held-out": 10}
    assert found.settings["real_to_real"] == "held-out images"
    assert found["fid_10_random"].baseline is not None


def test_the_seed_moves_pairs_and_splits_but_not_the_feature_space() -> None:
    real, synthetic = textures(20, seed=0), textures(10, seed=1)
    first, second = (evaluate_sets(real, synthetic, floor=textures(10, seed=2), seed=seed) for seed in (0, 1))
    assert first["fid_10_random"].value == second["fid_10_random"].value


def test_noise_and_repeats_are_not_praised() -> None:
    noise = torch.rand(40, 1, 32, 32, generator=torch.Generator().manual_seed(0))
    real = 0.5 + 0.3 * textures(60, seed=0)
    assert evaluate_sets(real, noise).headline == "Far from the real images"
    four_again = 0.5 + 0.3 * textures(4, seed=1).repeat(10, 1, 1, 1)
    assert evaluate_sets(real, four_again).headline == "Collapse"


def test_kernel_distance_stands_beside_other_real_images_and_noise() -> None:
    real, held_out, synthetic = textures(40, seed=0), textures(30, seed=1), textures(20, seed=2) * 0.8
    found = evaluate_sets(real, synthetic, floor=held_out, seed=3)
    space = random_space()
    noise = torch.randint(256, (20, 1, 32, 32), generator=torch.Generator().manual_seed(3)) / 255
    for name, images in (
        ("kid_20_random", synthetic),
        ("kid_30_random_real", held_out),
        ("kid_20_random_noise", noise),
    ):
        distance = kernel_distance(space(real), space(images))
        assert (found[name].value, found[name].interval) == (distance.value, distance.interval)
    assert found["kid_20_random"].baseline == found["kid_30_random_real"].value
    halves = evaluate_sets(real, synthetic)
    assert halves["kid_20_random"].value == found["kid_20_random"].value
    assert halves["kid_20_random_real"].value == pytest.approx(0, abs=0.1 * halves["kid_20_random_noise"].value)


def test_arrays_and_tensors_are_the_same() -> None:
    real, synthetic = textures(8, seed=0), textures(8, seed=1)
    assert evaluate_sets(real.numpy().astype(np.float64), synthetic.numpy()) == evaluate_sets(real, synthetic)


@pytest.mark.parametrize(
    ("real", "synthetic", "patients", "message"),
    [
        (textures(4, seed=0), textures(1, seed=1), None, "1 image.* : synthetic images"),
        (textures(4, seed=0), textures(4, seed=1) * torch.nan, None, "NaN .* : synthetic images"),
        (textures(4, seed=0), textures(4, seed=1, size=48), None, "32 x 32 against 48 x 48"),
        (textures(4, seed=0) * 255, textures(4, seed=1), None, "real images"),
        (textures(4, seed=0), textures(4, seed=1), ["P1"], "1 patients for 4 images"),
    ],
)
def test_refuses_in_one_line(
    real: torch.Tensor, synthetic: torch.Tensor, patients: list[str] | None, message: str
) -> None:
    with pytest.raises(InputDataError, match=message):
        evaluate_sets(real, synthetic, patients=patients)


def write_set(folder: Path, images: torch.Tensor, **marks: str) -> Path:
    folder.mkdir(parents=True)
    for index, image in enumerate(images[:, 0].numpy()):
        write_png(folder / f"{index:03}.png", image, marks)
    return folder


def generated(folder: Path, count: int = 8, *, seed: int = 9) -> Path:
    return write_set(folder, textures(count, seed=seed), Synthetic="generated")


def test_folders_give_the_measures_of_their_images(tmp_path: Path) -> None:
    real, synthetic = (textures(count, seed=seed).mul(255).round() / 255 for count, seed in ((10, 0), (8, 1)))
    write_set(tmp_path / "real" / "NORMAL", real)
    write_set(tmp_path / "synthetic", synthetic, Synthetic="generated")
    found = evaluate_folders(tmp_path / "real", tmp_path / "synthetic", tmp_path / "out", image_size=32, seed=2)
    expected = evaluate_sets(real, synthetic, seed=2)
    assert found.values() == pytest.approx(expected.values(), abs=1e-4)
    written = json.loads((tmp_path / "out" / "measures.json").read_text())
    assert written["measures"]["ms_ssim_gap"]["value"] == found["ms_ssim_gap"].value
    assert written["measures"]["fid_5_random"]["real_against_real"] == found["fid_5_random"].baseline
    assert written["provenance"]["monai_xr"]
    page = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    assert "all 10" in page
    assert "patients unknown" in page


def test_manifest_gives_classes_splits_and_patients(tmp_path: Path) -> None:
    write_set(tmp_path / "real", textures(16, seed=0))
    rows = [
        f"{number:03}.png,{'A' if number < 12 else 'B'},P{number // 2},{'train' if number % 4 < 2 else 'val'}"
        for number in range(16)
    ]
    (tmp_path / "real" / "manifest.csv").write_text("\n".join(["image,label,patient_id,split", *rows]))
    found = evaluate_folders(
        tmp_path / "real",
        generated(tmp_path / "synthetic"),
        tmp_path / "out",
        image_size=32,
        classes=["A"],
        split="train",
        held_out_split="val",
    )
    assert found.counts == {"real": 6, "held-out": 6, "synthetic": 8}
    assert any("does not name these classes" in note for note in found.notes)
    arguments = (tmp_path / "real", tmp_path / "synthetic", tmp_path / "out")
    halves = evaluate_folders(*arguments, image_size=32, classes="A", split="train", held_out_split=None)
    assert halves.settings["real_to_real"] == "halves of the real images, split by patient"
    assert halves["fid_2_random"].value is not None  # 3 patients of 2 images: halves of 2 and 4


def test_aiin_goes_over_real_images_only(tmp_path: Path) -> None:
    aiin = AIIN(tile_grid_size=(2, 2), clip_limit=4.0)
    real = textures(6, seed=0).mul(255).round() / 255
    write_set(tmp_path / "real", real)
    found = evaluate_folders(
        tmp_path / "real", generated(tmp_path / "synthetic"), tmp_path / "out", image_size=32, aiin=aiin
    )
    plain = evaluate_folders(tmp_path / "real", tmp_path / "synthetic", tmp_path / "out", image_size=32)
    assert found["ms_ssim_synthetic"].value == plain["ms_ssim_synthetic"].value
    assert found["ms_ssim_real_before_aiin"].value == plain["ms_ssim_real"].value
    levels = real[:, 0].mul(255).byte().numpy()
    by_opencv = np.stack([cv2.createCLAHE(4.0, (2, 2)).apply(image) for image in levels])[:, None]
    expected = ms_ssim_of_random_pairs(torch.from_numpy(by_opencv / np.float32(255)), seed=0).mean
    assert found["ms_ssim_real"].value == pytest.approx(expected, abs=1e-4)


def test_generated_images_are_never_taken_as_real_nor_real_ones_as_synthetic(tmp_path: Path) -> None:
    real = write_set(tmp_path / "real", textures(6, seed=0))
    with pytest.raises(InputDataError):
        evaluate_folders(generated(tmp_path / "fake"), tmp_path / "fake", tmp_path / "out", image_size=32)
    with pytest.raises(InputDataError):
        evaluate_folders(real, real, tmp_path / "out", image_size=32)
    assert not (tmp_path / "out" / "measures.json").exists()
    assert not (tmp_path / "out" / "report.html").exists()


def test_phantoms_count_as_real_only_when_accepted(tmp_path: Path) -> None:
    write_set(tmp_path / "real", textures(6, seed=0), Synthetic="phantom")
    generated(tmp_path / "synthetic")
    with pytest.raises(InputDataError):
        evaluate_folders(tmp_path / "real", tmp_path / "synthetic", tmp_path / "out", image_size=32)
    found = evaluate_folders(
        tmp_path / "real", tmp_path / "synthetic", tmp_path / "out", image_size=32, accept_phantoms=True
    )
    assert found.counts["real"] == 6


def test_broken_files_are_left_out_and_counted_in_the_notes(tmp_path: Path) -> None:
    write_set(tmp_path / "real", textures(6, seed=0))
    whole = (tmp_path / "real" / "005.png").read_bytes()
    (tmp_path / "real" / "005.png").write_bytes(whole[: len(whole) // 2])
    found = evaluate_folders(tmp_path / "real", generated(tmp_path / "synthetic"), tmp_path / "out", image_size=32)
    assert found.counts["real"] == 5
    assert any(note.startswith("1 real file(s) left out") for note in found.notes)


def test_synthetic_classes_are_used_where_named_and_missed_where_not(tmp_path: Path) -> None:
    for label in ("A", "B"):
        write_set(tmp_path / "real" / label, textures(5, seed=0))
    generated(tmp_path / "synthetic" / "A")
    generated(tmp_path / "synthetic" / "C", 3)
    arguments = (tmp_path / "real", tmp_path / "synthetic", tmp_path / "out")
    of_one_class = evaluate_folders(*arguments, image_size=32, classes="A")
    assert of_one_class.counts == {"real": 5, "synthetic": 8}
    of_all = evaluate_folders(*arguments, image_size=32)
    assert of_all.counts == {"real": 10, "synthetic": 11}
    assert [any("2 classes" in note for note in found.notes) for found in (of_one_class, of_all)] == [False, True]
    with pytest.raises(InputDataError, match="no synthetic images of B"):
        evaluate_folders(*arguments, image_size=32, classes=["A", "B"])


def test_held_out_split_must_be_another_one(tmp_path: Path) -> None:
    write_set(tmp_path / "real", textures(6, seed=0))
    with pytest.raises(ConfigurationError, match="held-out images are among the real ones"):
        evaluate_folders(
            tmp_path / "real",
            generated(tmp_path / "fake"),
            tmp_path / "out",
            image_size=32,
            held_out_split="val",
            no_patients=True,
        )


def test_png_files_are_preferred_to_dicom_files_with_a_burned_in_mark(tmp_path: Path) -> None:
    write_set(tmp_path / "real", textures(6, seed=0))
    images = textures(8, seed=9)
    clean = write_set(tmp_path / "clean", images, Synthetic="generated")
    both = write_set(tmp_path / "both", images, Synthetic="generated")
    marked = tmp_path / "marked"
    marked.mkdir()
    for folder in (both, marked):
        for index, image in enumerate(images[:, 0].numpy()):
            write_generated(folder / f"{index}.dcm", image, index=index, seed=0, model_hash="m", run_id="r")
    of_clean, of_both, of_marked = (
        evaluate_folders(tmp_path / "real", folder, tmp_path / f"of_{folder.name}", image_size=32)
        for folder in (clean, both, marked)
    )
    assert of_both.values() == of_clean.values()
    assert of_marked.values()["ms_ssim_synthetic"] > of_clean.values()["ms_ssim_synthetic"]
    assert any("burned into synthetic DICOM" in note for note in of_marked.notes)


def test_grids_are_drawn_by_seed_and_say_how_many() -> None:
    sets = {"real": textures(50, seed=0), "synthetic": textures(5, seed=1)}
    grids = sample_grids(sets, seed=1)
    assert list(grids) == ["Real images, 36 of 50 drawn at random", "Synthetic images, all 5"]
    first, again, other = (sample_grids(sets, seed=seed)["Real images, 36 of 50 drawn at random"] for seed in (1, 1, 2))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_each_class_that_both_sides_name_is_also_measured_on_its_own(tmp_path: Path) -> None:
    for label, seed in (("A", 0), ("B", 1)):
        write_set(tmp_path / "real" / label, textures(12, seed=seed))
        generated(tmp_path / "synthetic" / label, 9, seed=seed + 5)
    generated(tmp_path / "synthetic" / "C", 3)
    arguments = (tmp_path / "real", tmp_path / "synthetic", tmp_path / "out")
    found = evaluate_folders(*arguments, image_size=32, pairs=30)
    of_a = evaluate_folders(*arguments, image_size=32, pairs=30, classes="A")
    for name in ("ms_ssim_gap", "fid_6_random", "precision_6_random", "coverage_6_random"):
        assert found[f"{name}_A"].value == pytest.approx(of_a[name].value)
    assert found["ms_ssim_gap_B"].title == "B: Gap in MS-SSIM, synthetic minus real (the rule of arXiv 2309.12245)"
    assert not any(row.name.endswith("_C") for row in found.rows)


def test_a_classifiers_space_is_refused_for_one_class_and_scores_several(tmp_path: Path) -> None:
    for label, seed in (("A", 0), ("B", 1)):
        write_set(tmp_path / "real" / label, textures(10, seed=seed))
        generated(tmp_path / "synthetic" / label, 8, seed=seed + 5)
    arguments = (tmp_path / "real", tmp_path / "synthetic", tmp_path / "out")
    torch.manual_seed(0)
    classifier = nn.Sequential(nn.Flatten(), nn.Linear(1024, 2))
    space = network_space("cxr", nn.Sequential(nn.Flatten(), nn.Linear(1024, 8)), of_classifier=True)
    found = evaluate_folders(*arguments, image_size=32, space=space, classifier=classifier)
    assert found["is_10_cxr"].value is not None
    assert 1 <= found["is_10_cxr"].value <= 2
    assert not any(row.name.endswith("_A") for row in found.rows)
    with pytest.raises(ConfigurationError, match="within one class : space cxr"):
        evaluate_folders(*arguments, image_size=32, space=space, classes="A")


def test_a_replay_of_training_images_is_told_with_its_pairs(tmp_path: Path) -> None:
    real = textures(120, seed=0)
    write_set(tmp_path / "real", real)
    rows = [f"{number:03}.png,A,P{number},{'train' if number < 60 else 'val'}" for number in range(120)]
    (tmp_path / "real" / "manifest.csv").write_text("\n".join(["image,label,patient_id,split", *rows]))
    noise = 0.02 * torch.randn(30, 1, 32, 32, generator=torch.Generator().manual_seed(0))
    write_set(tmp_path / "synthetic", (real[:30] + noise).clamp(0, 1), Synthetic="generated")
    arguments = (tmp_path / "real", tmp_path / "synthetic", tmp_path / "out")
    found = evaluate_folders(*arguments, image_size=32, split="train", held_out_split="val")
    assert found["near_training_30_pixels"].value == 1.0
    assert found["near_training_30_pixels"].finding == "bad"
    assert found["attack_auc_pixels"].interval[0] > 0.55
    page = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    assert "The 20 synthetic images nearest to a training image" in page
    assert page.count("<svg") == 2
    without = evaluate_folders(*arguments, image_size=32, split="train", held_out_split="none")
    assert without["near_training_30_pixels"].value == 1.0  # from each image's nearest of another patient
    assert without["attack_auc_pixels"].verdict == "Needs held-out images."


def test_measures_go_to_the_mlflow_run_of_the_training_that_made_the_images(
    tmp_path: Path, mlflow_store: Callable[[Path], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    write_set(tmp_path / "real", textures(6, seed=0))
    generated(tmp_path / "run" / "synthetic")
    uri = mlflow_store(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    client = MlflowClient(tracking_uri=uri)
    experiment = client.create_experiment("monai_xr", artifact_location=(tmp_path / "artifacts").as_uri())
    run = client.create_run(experiment).info.run_id
    (tmp_path / "run" / "mlflow_run_id").write_text(run + "\n")
    (tmp_path / "run" / "run.json").write_text('{"settings": {}, "run_id": "new"}')
    write_set(tmp_path / "run" / "old", textures(8, seed=1), Synthetic="generated", Run_Id="old")
    evaluate_folders(tmp_path / "real", tmp_path / "run" / "old", tmp_path / "before", image_size=32)
    assert client.get_run(run).data.metrics == {}
    found = evaluate_folders(tmp_path / "real", tmp_path / "run" / "synthetic", tmp_path / "out", image_size=32)
    logged = client.get_run(run).data.metrics
    assert logged["evaluation/ms_ssim_gap"] == pytest.approx(found["ms_ssim_gap"].value)
    assert {entry.path for entry in client.list_artifacts(run, "evaluation")} == {
        "evaluation/measures.json",
        "evaluation/report.html",
    }


def test_a_tracking_server_that_fails_is_a_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    measures = evaluate_sets(textures(6, seed=0), textures(6, seed=1))
    (tmp_path / "mlflow_run_id").write_text("0" * 32)
    assert not log_measures(measures, [tmp_path / "measures.json"], run=tmp_path, uri="nowhere://server")
    assert "MLflow failed" in caplog.text
    assert not log_measures(measures, [], run=tmp_path / "elsewhere")


def test_sets_of_two_or_of_equal_images_are_measured_with_what_is_undefined_said() -> None:
    real, one = textures(20, seed=0), textures(1, seed=1)
    same = evaluate_sets(real, one.repeat(20, 1, 1, 1), floor=textures(20, seed=2))
    assert same.headline == "Collapse"
    assert same["recall_20_random"].value == 0
    assert same["ms_ssim_synthetic"].interval_text == "undefined"
    few = evaluate_sets(real, textures(2, seed=1), floor=textures(12, seed=2))
    assert few["precision_random"].verdict == "Too few images for this measure."
    assert few["kid_2_random"].interval_text == "undefined"
    alike = evaluate_sets(one.repeat(20, 1, 1, 1), textures(12, seed=2))
    assert alike["fid_10_random_over_floor"].value is None
    json.dumps([found.as_dict() for found in (same, few, alike)], allow_nan=False)


def split_films(folder: Path, count: int = 48) -> Path:
    """Films of as many patients, half of them in the split train, a quarter each in val and test."""
    write_set(folder, textures(count, seed=0))
    splits = [("train", "val", "train", "test")[number % 4] for number in range(count)]
    rows = [f"{number:03}.png,A,P{number},{split}" for number, split in enumerate(splits)]
    (folder / "manifest.csv").write_text("\n".join(["image,label,patient_id,split", *rows]))
    return folder


def test_the_held_out_split_is_taken_where_there_is_one(tmp_path: Path) -> None:
    real, fake = split_films(tmp_path / "real"), generated(tmp_path / "fake")
    found = evaluate_folders(real, fake, tmp_path / "out", image_size=32, split="train")
    assert found.counts == {"real": 24, "held-out": 12, "synthetic": 8}
    assert found.settings["held_out_split"] == "val"
    of_val = evaluate_folders(real, fake, tmp_path / "out", image_size=32, split="val")
    assert (of_val.counts["real"], of_val.settings["held_out_split"]) == (12, "test")
    whole = evaluate_folders(real, fake, tmp_path / "out", image_size=32)
    assert (whole.counts, whole.settings["held_out_split"]) == ({"real": 48, "synthetic": 8}, None)


def test_a_larger_split_is_named_where_the_held_out_one_has_too_few(tmp_path: Path) -> None:
    real, fake = split_films(tmp_path / "real", 80), generated(tmp_path / "fake", 24)
    table = real / "manifest.csv"
    table.write_text(table.read_text().replace("7,val", "7,test").replace("5,val", "5,test"))
    found = evaluate_folders(real, fake, tmp_path / "out", image_size=32, split="train")
    assert found.counts["held-out"] == 12
    assert found.verdict.endswith(" The split test has 28 patients or images: --held-out-split test.")
    of_test = evaluate_folders(real, fake, tmp_path / "out", image_size=32, split="train", held_out_split="test")
    assert "The split" not in of_test.verdict
    few = evaluate_folders(real, generated(tmp_path / "few"), tmp_path / "few_out", image_size=32, split="train")
    assert "The split" not in few.verdict  # more generated images are needed first


def test_a_held_out_split_that_the_generator_knows_is_passed_over(tmp_path: Path) -> None:
    real, fake = split_films(tmp_path / "real"), generated(tmp_path / "fake")
    cache = build_store(find_records(real, split="val"), size=32, folder=tmp_path / "cache", admit=("patient",))
    write_lineage(fake, TrainedOn(units_in(cache)))
    found = evaluate_folders(real, fake, tmp_path / "out", image_size=32, split="train")
    assert found.settings["held_out_split"] == "test"
    assert any(note == "The split val is known to the generator, so it sets no floor." for note in found.notes)


def test_the_report_on_other_images_is_never_replaced(tmp_path: Path) -> None:
    real = write_set(tmp_path / "real", textures(6, seed=0))
    mine, other = generated(tmp_path / "mine"), generated(tmp_path / "other", seed=3)
    evaluate_folders(real, mine, tmp_path / "out", image_size=32)
    before = (tmp_path / "out" / "report.html").read_bytes()
    with pytest.raises(ConfigurationError, match=r"report on other synthetic images : .*out : name another"):
        evaluate_folders(real, other, tmp_path / "out", image_size=32)
    assert (tmp_path / "out" / "report.html").read_bytes() == before
    evaluate_folders(real, mine, tmp_path / "out", image_size=32, seed=1)


def test_each_class_is_shown_and_each_of_few_images_is_not_judged(tmp_path: Path) -> None:
    for label, seed in (("A", 0), ("B", 1)):
        write_set(tmp_path / "real" / label, textures(30, seed=seed))
        generated(tmp_path / "synthetic" / label, 5, seed=seed + 5)
    found = evaluate_folders(tmp_path / "real", tmp_path / "synthetic", tmp_path / "out", image_size=32)
    page = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    for caption in ("A: synthetic images, all 5", "A: real images, 16 of 30", "B: synthetic images", "B: real images"):
        assert caption in page
    assert found["ms_ssim_gap_A"].finding == "none"


def test_the_command_prints_five_lines_or_all_or_json(monai_xr: Any, tmp_path: Path) -> None:
    split_films(tmp_path / "real", 96)
    generated(tmp_path / "synthetic", 24)
    common = ("evaluate", "real", "synthetic", "--image-size", "32", "--aiin", "none")
    code, out, error = monai_xr(*common)
    assert code == 0, error
    assert max(map(len, out.splitlines())) <= 80
    lights = [line for line in out.splitlines() if line.split()[0] in ("green", "yellow", "red", "grey")]
    assert [line.split()[1] for line in lights] == ["faithful?", "diverse?", "covers?", "copies?", "enough?"]
    assert "report: runs/evaluation/synthetic/report.html" in out
    assert "Vendi" not in out
    assert "Vendi" in monai_xr(*common, "--all")[1]
    printed = json.loads(monai_xr(*common, "--json")[1])
    written = json.loads((tmp_path / "runs" / "evaluation" / "synthetic-3" / "measures.json").read_text())
    assert printed == written
    assert printed["lights"][0]["question"] == "faithful?"
    assert {"light", "value", "interval_95", "real_against_real", "says"} <= set(printed["lights"][0])


def test_a_command_that_fails_leaves_no_folder(monai_xr: Any, tmp_path: Path) -> None:
    write_set(tmp_path / "real", torch.full((3, 1, 32, 32), 0.5))
    generated(tmp_path / "synthetic")
    code, _, error = monai_xr("evaluate", "real", "synthetic", "--image-size", "32", "--output", "out/report")
    assert (code, "none of 3 images can be used" in error) == (3, True)
    assert sorted(each.name for each in tmp_path.iterdir()) == ["real", "synthetic"]


def test_the_command_takes_classes_one_by_one_or_with_commas(monai_xr: Any, tmp_path: Path) -> None:
    for label, seed in (("A", 0), ("B", 1), ("C", 2)):
        write_set(tmp_path / "real" / label, textures(6, seed=seed))
        generated(tmp_path / "synthetic" / label, 4, seed=seed + 5)
    common = ("evaluate", "real", "synthetic", "--image-size", "32", "--aiin")
    aiin = "{'mode': 'exact', 'clip_limit': 4}"
    for chosen in (("none", "--class", "A", "--class", "B"), (aiin, "--classes", "A,B")):
        code, out, error = monai_xr(*common, *chosen, "--output", "out")
        assert code == 0, error
        measures = json.loads((tmp_path / "out" / "measures.json").read_text())
        assert measures["counts"] == {"real": 12, "synthetic": 8}
        assert "ms_ssim_gap_B" in measures["measures"]
        assert "report: out/report.html" in out
    assert (measures["settings"]["aiin"]["mode"], measures["settings"]["aiin"]["clip_limit"]) == ("exact", 4)
    code, _, error = monai_xr(*common, "none", "--space", "inception=weights.pth")
    assert code == 6
    assert "weights cannot be read (No such file or directory) : weights.pth : download https://" in error


def test_images_of_before_a_training_went_on_are_told(monai_xr: Any, tmp_path: Path) -> None:
    generated(tmp_path / "run" / "synthetic", 1, seed=0)
    (tmp_path / "run" / "synthetic" / "manifest.csv").write_text("image,label,patient_id\n000.png,A,P0\n")
    record = {"settings": {"image_size": 32}, "data": {"images_per_class": {"A": 48}}}
    (tmp_path / "run" / "run.json").write_text(json.dumps(record))
    made = GeneratedImages(tmp_path / "run")
    assert images_told(made, "none") == f"comparing the images in {tmp_path / 'run' / 'synthetic'}"
    (tmp_path / "run" / "metrics.jsonl").touch()
    told = images_told(made, "none")
    assert told.endswith(f"; the training went on since: monai-xr sample {tmp_path / 'run'} makes newer ones")
    split_films(tmp_path / "real", 6)
    code, _, error = monai_xr("evaluate", "real", "run", "--class", "a")
    assert (code, "did you mean 'A'? it was trained on A" in error) == (2, True)


def test_reports_on_one_training_are_all_kept_and_say_which_images_they_are_on(
    monai_xr: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[Path] = []
    monkeypatch.setattr(run_folder, "lineage_of", lambda path: opened.append(path) or lineage_of(path))
    split_films(tmp_path / "real", 96)
    for name in ("synthetic", "synthetic-2"):
        generated(tmp_path / "run" / name, 24, seed=len(name))
        (tmp_path / "run" / name / "manifest.csv").write_text("image,label,patient_id\n000.png,A,P0\n001.png,A,P1\n")
    record = {"settings": {"image_size": 32, "aiin": "none", "max_epochs": 7}, "data": {"images_per_class": {"A": 48}}}
    (tmp_path / "run" / "run.json").write_text(json.dumps(record))
    code, out, error = monai_xr("evaluate", "real", "run")
    assert code == 0, error
    assert "comparing the images in run/synthetic-2; for others of this training name run/synthetic" in error
    assert "report: run/evaluation/report.html" in out
    assert "next: monai-xr sample run --count 500" in out  # its manifest names two images
    for name in ("synthetic", "synthetic-2"):
        (tmp_path / "run" / name / "manifest.csv").unlink()
    code, out, error = monai_xr("evaluate", "real", "run/synthetic")
    assert code == 0, error
    assert error.startswith("comparing the images in run/synthetic\n")
    assert len(opened) == 2 * 24  # each image is opened for its lineage once a command
    assert "report: run/evaluation-2/report.html" in out
    assert re.search("next: (monai-xr (pack run BUNDLE|train run --resume --dataset_dir real)|look at the pairs)", out)
    before = (tmp_path / "run" / "evaluation" / "report.html").read_bytes()
    with pytest.raises(ConfigurationError, match="report on other synthetic images"):
        evaluate_folders(
            tmp_path / "real", tmp_path / "run" / "synthetic", tmp_path / "run" / "evaluation", image_size=32
        )
    assert (tmp_path / "run" / "evaluation" / "report.html").read_bytes() == before
    code, _, error = monai_xr("evaluate", "real", "run", "--class", "B")
    assert (code, error.splitlines()) == (
        2,
        [
            "monai_xr: error: the generator never saw the class B : run : it was trained on A: leave --classes out, "
            "or train on B"
        ],
    )
    code, _, error = monai_xr("evaluate", "absent", "run")
    assert (code, len(error.splitlines())) == (2, 1)


def test_real_films_are_compared_as_images_of_an_unknown_training_are_made(tmp_path: Path) -> None:
    split_films(tmp_path / "real")
    foreign = generated(tmp_path / "foreign")
    ours = write_set(tmp_path / "ours", textures(4, seed=3), Synthetic="generated", Run_Id="run-a")

    def asked(folder: Path, **given: str) -> Any:
        return settings_asked(
            tmp_path / "real", GeneratedImages(folder), given, held_out_split="auto", no_patients=False
        )["aiin"]

    assert asked(foreign) == "none"  # another generator's: nothing says that its films went through AIIN
    assert asked(ours) == {"mode": "opencv", "tile_grid_size": [4, 4], "clip_limit": 10}
    assert asked(foreign, aiin="exact") == "exact"
    assert "real films go through AIIN: none (--aiin)" in images_told(GeneratedImages(foreign), asked(foreign))
