"""What the killed processes do; in a module of its own, where a fresh process finds it."""

import multiprocessing
import os
import signal
from functools import partial

import torch
from ignite.engine import Events
from prove.families import At, Losses, digest, train

from monai_xr.handlers import Checkpoint

WIDTH = 32  # a checkpoint of 8 MB: more than half of the time is spent on saving


class Tell:
    """Sends the iteration a training starts from, and each one whose checkpoint is on the disk."""

    def __init__(self, pipe):
        self.pipe = pipe

    def attach(self, engine):
        engine.add_event_handler(Events.STARTED, lambda: self.pipe.send(("resumed", engine.state.iteration)))
        engine.add_event_handler(Events.GET_BATCH_STARTED, lambda: self.pipe.send(("saved", engine.state.iteration)))


def train_and_tell(folder, pipe):
    torch.set_num_threads(1)
    checkpoint = Checkpoint(folder, resume=True, every_iterations=1)
    train(max_epochs=1000, handlers=[checkpoint, Tell(pipe)], width=WIDTH).run()


def train_to(folder, pipe, family, workers, kill_after):
    """Train 6 epochs, or be killed in the epoch after `kill_after`; send the digest of everything."""
    torch.set_num_threads(1)
    multiprocessing.set_start_method("fork", force=True)  # of the loader's workers; a child of a server has other ways
    handlers = [Checkpoint(folder, resume=True)]
    if kill_after:
        middle = kill_after * 6 + 3
        handlers.append(At(Events.ITERATION_STARTED, middle, partial(os.kill, os.getpid(), signal.SIGKILL)))
    engine = train(family, max_epochs=6, handlers=handlers, workers=workers)
    engine.run()
    pipe.send(digest(engine))


def train_rank(rank, folder, pipe, stop_at, max_epochs):
    """Train as one of two processes, the second of which is told to stop; send where it began and what it drew."""
    torch.set_num_threads(1)
    meeting = f"file://{folder}/meeting_{stop_at}"
    torch.distributed.init_process_group("gloo", init_method=meeting, rank=rank, world_size=2)
    losses = Losses()
    handlers = [Checkpoint(folder / "c", resume=True), losses]
    if stop_at and rank == 1:
        tell = partial(os.kill, os.getpid(), signal.SIGTERM)
        handlers.append(At(Events.ITERATION_STARTED, stop_at, tell))
    engine = train(max_epochs=max_epochs, handlers=handlers)
    code = 0
    try:
        engine.run()
    except SystemExit as stopped:
        code = stopped.code
    latents = torch.randn(1, generator=engine.latent_source).item()
    pipe.send(
        (code, sorted(losses.by_iteration), latents, [weight.sum().item() for weight in engine.generator.parameters()])
    )
