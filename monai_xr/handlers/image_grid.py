"""The same samples drawn after each epoch: what a person looks at to see a training succeed or collapse."""

from pathlib import Path

from ignite import distributed as idist
from ignite.engine import Engine, Events

from monai_xr.data.images.montage import montage
from monai_xr.data.images.png import write_png
from monai_xr.disk import make_folder
from monai_xr.handlers.protocols import Sampled
from monai_xr.progress import told_if_long
from monai_xr.settings import parse_count


class ImageGrid:
    """Writes `epoch_NNNN.png` after each epoch and puts its path into `state.image_grid`.

    Args:
        every: Epochs between two pictures; the last epoch is always drawn.
        seed: Of the samples, which stay the same for the whole training.
    """

    def __init__(self, folder: str | Path, *, count: int = 64, every: int = 1, seed: int = 0) -> None:
        self.folder = Path(folder)
        self.count = parse_count(count, "grid_count")
        self.every = parse_count(every, "grid_every")
        self.seed = parse_count(seed, "grid_seed", least=0)

    def attach(self, engine: Engine) -> None:
        """Draw when an epoch ends."""
        engine.add_event_handler(Events.EPOCH_COMPLETED, self.draw)

    def draw(self, engine: Sampled) -> None:
        """Sample the engine and write the picture."""
        epoch = engine.state.epoch
        engine.state.image_grid = None
        if idist.get_rank() or (epoch % self.every and epoch != engine.state.max_epochs):
            return
        with told_if_long("drawing samples"):
            images = engine.sample(self.count, seed=self.seed)[:, 0].float().cpu().numpy()
        path = make_folder(self.folder) / f"epoch_{epoch:04d}.png"
        columns = max(1, round(self.count**0.5))
        write_png(path, montage(images, columns), {"Synthetic": "generated", "Epoch": str(epoch)})
        engine.state.image_grid = path
