"""Trainings that are killed with SIGKILL at random times, and at a given one, go on from a verified checkpoint."""

import signal
import time

import numpy as np
import pytest
from prove.families import FAMILIES
from prove.trainings import train_and_tell, train_to


def test_killed_at_random_times_every_training_goes_on_from_a_verified_checkpoint(tmp_path, context, kills):
    chance = np.random.default_rng(0)
    last, resumed = 0, []
    for _ in range(kills + 1):
        here, there = context.Pipe(duplex=False)
        process = context.Process(target=train_and_tell, args=(tmp_path / "c", there))
        process.start()
        there.close()
        what, iteration = here.recv()
        assert what == "resumed"
        assert iteration >= last  # nothing that was saved is lost
        resumed.append(iteration)
        while iteration <= resumed[-1]:
            _, iteration = here.recv()
        time.sleep(chance.uniform(0, 0.5))
        process.kill()
        process.join()
        assert process.exitcode == -signal.SIGKILL
        while here.poll():
            try:
                _, iteration = here.recv()
            except EOFError:
                break
        last = iteration
    assert len(resumed) == kills + 1
    assert min(resumed[1:]) > 0
    print(f"{kills} kills, {len(resumed) - 1} resumed; iterations {resumed}")  # noqa: T201
    assert not list((tmp_path / "c").glob("*.corrupt"))


@pytest.fixture(scope="module")
def digests(context, tmp_path_factory):
    """Digests of 6 epochs in a single go, by family."""
    found = {}

    def of(family):
        if family not in found:
            found[family] = run(context, tmp_path_factory.mktemp("whole"), family, 0, 0)
        return found[family]

    return of


def run(context, folder, family, workers, kill_after):
    here, there = context.Pipe(duplex=False)
    process = context.Process(target=train_to, args=(folder / "c", there, family, workers, kill_after))
    process.start()
    process.join()
    assert process.exitcode == (-signal.SIGKILL if kill_after else 0)
    return here.recv() if here.poll() else None


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("family", FAMILIES)
def test_three_epochs_a_kill_and_three_more_equal_six_bit_for_bit(tmp_path, context, digests, family, workers):
    assert run(context, tmp_path, family, workers, kill_after=3) is None
    assert run(context, tmp_path, family, workers, kill_after=0) == digests(family)
