"""Two processes train together: one told to stop stops both, and both go on, each with its own latents."""

import pytest
from prove.trainings import train_rank


@pytest.fixture
def run(context, tmp_path):
    """Run both processes; give what each sent."""

    def both(stop_at, max_epochs):
        pipes, processes = [], []
        for rank in range(2):
            here, there = context.Pipe(duplex=False)
            processes.append(context.Process(target=train_rank, args=(rank, tmp_path, there, stop_at, max_epochs)))
            pipes.append(here)
            processes[-1].start()
        for process in processes:
            process.join(120)
            process.kill()
        return [pipe.recv() for pipe in pipes]

    return both


def test_stop_of_one_process_stops_both_at_the_same_iteration_and_both_go_on(run, tmp_path):
    first, second = run(stop_at=5, max_epochs=4)  # 3 iterations an epoch
    assert first[:2] == second[:2] == (143, [1, 2, 3, 4, 5])
    names = ["epoch_000001.json", "epoch_000001.pt", "epoch_000001_plus_000002.json", "epoch_000001_plus_000002.pt"]
    assert sorted(path.name for path in (tmp_path / "c").iterdir()) == names
    first, second = run(stop_at=0, max_epochs=4)
    assert first[:2] == second[:2] == (0, [6, 7, 8, 9, 10, 11, 12])
    assert first[2] != second[2]  # latents
    assert first[3] == second[3]  # weights
