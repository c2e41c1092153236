import json
import re
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from judged_rows import judged
from rich.console import Console

from monai_xr.metrics.measures import Finding, Light, Measure
from monai_xr.runs import RunFolder
from monai_xr.workflows.judging_images import terminal
from monai_xr.workflows.judging_images.evaluate_sets import evaluate_sets
from monai_xr.workflows.judging_images.headline import headline
from monai_xr.workflows.judging_images.lights import five_lights
from monai_xr.workflows.judging_images.terminal import light_line, next_lines, print_lights, what_lights_mean

GOOD: dict[str, Finding] = {"excess": "fine", "recall": "fine", "coverage": "fine", "precision": "fine"}


@pytest.mark.parametrize(
    ("findings", "ratio", "colours"),
    [
        ({}, (0.9, 1.4), "green green green green green"),
        ({}, (1.2, 1.4), "yellow green green green green"),
        ({}, (3.5, 9.0), "red yellow yellow green green"),
        ({"precision": "bad"}, (1.2, 1.4), "red yellow yellow green green"),  # noise would be so
        ({"precision": "bad", "excess": "bad"}, (1.2, 1.4), "red yellow yellow green green"),
        ({"excess": "open"}, (0.9, 1.4), "green yellow green green yellow"),
        ({"excess": "bad"}, (0.9, 1.4), "green yellow green green green"),
        ({"excess": "bad", "recall": "open"}, (0.9, 1.4), "green red yellow green green"),
        ({"repeats": "bad"}, (0.9, 1.4), "green red green green green"),
        ({"coverage": "bad"}, (0.9, 1.4), "green green red green green"),
        ({"attack": "open"}, (0.9, 1.4), "green green green yellow green"),
        ({"near": "bad", "attack": "open"}, (0.9, 1.4), "green green green red green"),
    ],
)
def test_each_light_by_the_findings_it_stands_on(
    findings: dict[str, Finding], ratio: tuple[float, float], colours: str
) -> None:
    rows = judged(ratio, **(GOOD | findings))
    lights = five_lights(rows, 100)
    assert [light.question for light in lights] == ["faithful?", "diverse?", "covers?", "copies?", "enough?"]
    assert [light.colour for light in lights] == colours.split()
    assert ("red" in colours) == (headline(rows)[2] == "bad")


def test_terminal_names_the_measure_that_an_answer_stands_on() -> None:
    worst_of_recall = five_lights(judged((0.9, 1.4), **GOOD | {"recall": "open"}), 100)
    assert "covers: recall of real films; copies: share near training" in what_lights_mean(worst_of_recall)
    told = what_lights_mean(five_lights(judged((0.9, 1.4), **GOOD | {"coverage": "bad", "attack": "open"}), 100))
    assert "covers: coverage of real films; copies: AUROC of an attack; enough: patients" in told
    assert max(map(len, told.splitlines())) <= 80
    assert told.endswith("real: one half of the real films beside the other")
    assert what_lights_mean(worst_of_recall, "val").endswith("real: the films of split val")


def test_few_images_turn_every_light_off() -> None:
    lights = five_lights(judged(excess="bad", recall="bad", near="bad"), 5)
    assert [light.colour for light in lights] == ["grey"] * 4 + ["red"]
    assert {light.says for light in lights} == {"too few to judge"}


def textures(count: int, *, seed: int) -> torch.Tensor:
    coarse = torch.rand(count, 1, 5, 5, generator=torch.Generator().manual_seed(seed))
    return torch.nn.functional.interpolate(coarse, (32, 32), mode="bicubic").clamp(0, 1)


def test_five_against_five_images_are_too_few_to_judge_not_a_collapse() -> None:
    found = evaluate_sets(textures(5, seed=0), textures(1, seed=1).repeat(5, 1, 1, 1))
    assert (found.headline, found.finding) == ("Too few to judge", "open")
    assert not any("collapse" in row.verdict.lower() or row.finding == "bad" for row in found.rows)
    assert found.verdict.startswith("The smallest set, half of the real, has 2 patients or images: 18 more are needed")
    assert "add films of further patients" in found.verdict
    assert found["repeats_synthetic"].value == 0.8
    assert evaluate_sets(textures(40, seed=0), textures(1, seed=1).repeat(20, 1, 1, 1)).headline == "Collapse"


def test_copies_are_pointed_at_even_where_few_films_say_what_is_usual() -> None:
    real, noise = textures(40, seed=0), torch.rand(40, 1, 32, 32, generator=torch.Generator().manual_seed(3))
    found = evaluate_sets(real, (real + 0.02 * noise).clamp(0, 1), floor=textures(12, seed=2))
    assert found.headline == "Too few to judge"
    (line,) = next_lines(found, Path("films"), None)
    assert line.startswith("next: look at the pairs in the report: 1.00 of the images lie nearer to a training film")
    other = evaluate_sets(real, textures(40, seed=5), floor=textures(12, seed=2))
    assert next_lines(other, Path("films"), None) == []


def test_few_patients_with_many_films_are_too_few() -> None:
    patients = [str(number // 4) for number in range(80)]
    found = evaluate_sets(textures(80, seed=0), textures(60, seed=1), floor=textures(60, seed=2), patients=patients)
    assert found.headline != "Too few to judge"
    of_ten = [str(number % 10) for number in range(60)]
    few = evaluate_sets(textures(80, seed=0), textures(60, seed=1), floor=textures(60, seed=2), floor_patients=of_ten)
    assert few.headline == "Too few to judge"
    assert few.lights[-1].row.value == 10
    assert "held-out, has 10 patients or images: 10 more are needed" in few.verdict
    assert few.verdict.endswith("Add films of further patients to the folder.")


def test_real_films_have_one_likeness_beside_that_of_synthetic_images() -> None:
    found = evaluate_sets(textures(60, seed=0), textures(60, seed=1), floor=textures(60, seed=2))
    row = found["ms_ssim_synthetic"]
    assert row.baseline == found["ms_ssim_held_out"].value != found["ms_ssim_real"].value
    assert found.lights[1].row == row
    assert f"{found['ms_ssim_held_out'].value_text} among other real images" in found.summary
    titles = [found[f"ms_ssim_{name}"].title for name in ("real", "held_out")]
    assert titles == ["MS-SSIM of the real images compared with", "MS-SSIM of other real images, held out"]


def test_the_five_lines_fit_80_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    found = evaluate_sets(textures(60, seed=0), textures(60, seed=1), floor=textures(60, seed=2))
    console = Console(width=80, record=True, highlight=False)
    monkeypatch.setattr(terminal, "Console", lambda **_: console)
    print_lights(found)
    text = console.export_text().splitlines()
    assert max(map(len, text)) <= 80
    lines = [line for line in text if re.match("(green|yellow|red|grey) ", line)]
    assert [line.split()[1] for line in lines] == ["faithful?", "diverse?", "covers?", "copies?", "enough?"]
    widest = Measure("", "", 0.000333, (0.000444, 0.000555), 0.000333)
    assert len(light_line(Light("faithful?", "open", widest, "perhaps a part missing"))) <= 80


def test_what_to_do_next_fits_the_verdict_and_how_far_the_training_came(tmp_path: Path) -> None:
    run, films = tmp_path / "run", Path("films")
    run.mkdir()
    found = evaluate_sets(textures(40, seed=0), textures(1, seed=1).repeat(20, 1, 1, 1))
    found = replace(found, lights=five_lights(judged(excess="bad", recall="bad"), 100))

    def after(epochs: int) -> str:
        (run / "run.json").write_text(json.dumps({"settings": {"max_epochs": 40}, "epochs": epochs}))
        return "\n".join(next_lines(found, films, RunFolder(run)))

    assert after(40) == f"next: monai-xr train {run} --resume --dataset_dir films --max_epochs 80"
    assert after(9) == f"next: monai-xr train {run} --resume --dataset_dir films"  # was stopped: 40 are to come still
    found = replace(found, lights=five_lights(judged(near="bad"), 100))
    assert "look at the pairs in the report" in after(40)
    assert "train" not in after(40).replace("training", "")  # more of it brings more copies
