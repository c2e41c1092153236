"""What the runner of studies adds to its steps, and what a second worker gains.

Steps that train the classifiers of an arm on known films of 32 px, independent of each other; a worker has one thread.
"""

import importlib
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

from pairs import compare

sys.path.insert(0, str(Path(__file__).parents[1]))
from known_films import films

from monai_xr.workflows.studies.design import Design, read_design
from monai_xr.workflows.studies.graph import graph_of, kinds_of
from monai_xr.workflows.studies.running import Runner, runner
from monai_xr.workflows.studies.steps import Step, in_order, read_record

ARMS, PAIRS, MOST_ADDED = 6, 4, 0.02
STUDY = """
question: How fast?
positive: B
negative: A
features: random
arms:
  real only: {{role: baseline}}
  duplicates: {{role: baseline, balance: weights}}
  sampling: {{role: baseline, balance: sampling}}
sizes:
  bench: {{counts: [12], seeds: {seeds}, image_size: 32, network: small, network_steps: 600, network_batch: 32}}
"""


class Arms:
    """A few independent arms at each call, new ones each time, by so many workers."""

    def __init__(self, design: Design, folder: Path, workers: int, stack: ExitStack) -> None:
        self.held: Runner = stack.enter_context(runner(folder, kinds_of(design), workers=workers))
        trained = list(graph_of(design).trained.values())
        self.held.client.run(importlib.import_module, "monai_xr.workflows.studies.graph")  # a start is no step
        self.held.run([step for step in in_order(trained) if step.kind != "train"], "inputs")
        self.left: Iterator[Step] = iter(trained)
        self.added: list[float] = []

    def run(self) -> None:
        steps, began = [next(self.left) for _ in range(ARMS)], time.perf_counter()
        done = self.held.run(steps, "arms")
        whole = time.perf_counter() - began
        in_steps = sum(read_record(each.folder)["seconds"] for each in done.values())
        self.added.append(whole / in_steps - 1)


def main() -> bool:
    with tempfile.TemporaryDirectory() as place, ExitStack() as stack:
        folder = Path(place)
        file = folder / "study.yaml"
        file.write_text(STUDY.format(seeds=ARMS * (PAIRS + 1) // 3))
        design = read_design(file, dataset_dir=str(films(folder / "films")))
        two, one = (Arms(design, folder / f"{count}", count, stack) for count in (2, 1))
        ok = compare(f"{ARMS} arms by two workers over one", two.run, one.run, bound=1 / 1.6, pairs=PAIRS)
        added = sorted(one.added[1:])[PAIRS // 2]
        fine = added <= MOST_ADDED
        print(f"{'ok  ' if fine else 'FAIL'} what the runner adds to its steps: {added:.1%}, bound {MOST_ADDED:.0%}")
    return ok and fine


if __name__ == "__main__":
    raise SystemExit(not main())
