"""Validates a classifier after each epoch, keeps the best network with its decision, and stops when it gets no better.

The decision (temperature, thresholds, bands) is saved in the checkpoint with the network it belongs to, so that no kill
can part them, and for people also in `metadata.json` beside it.
"""

from collections.abc import Mapping
from copy import deepcopy
from pathlib import Path
from typing import Any

import torch
from ignite import distributed as idist
from ignite.engine import Engine, Events
from torch import Tensor, nn
from torch.utils.data import DataLoader
from torchmetrics.functional.classification import multiclass_accuracy
from tqdm import tqdm

from monai_xr.data.files.output import write_json
from monai_xr.errors import ConfigurationError, InputDataError
from monai_xr.inferers.decision import Decision, decide, fit_temperature, parse_rule, positive_class
from monai_xr.losses import ClassLoss
from monai_xr.metrics.pulls import auroc
from monai_xr.networks import XrayClassifier
from monai_xr.progress import told_if_long
from monai_xr.settings import parse_count
from monai_xr.transforms import LabelledXrays


class Validation:
    """Writes `val/loss`, `val/auroc` and (one class a film) `val/balanced_accuracy` into `state.metrics`.

    `state.best` has the epoch of the best network and these measures of it.

    Attach it before `Checkpoint`, which saves what it keeps. The network of the highest AUROC is the best, and of equal
    ones that of the lowest loss, which is the one after calibration. AUROC comes first because threshold and
    temperature, whose luck moves the loss from epoch to epoch, are chosen anew for every network.

    Args:
        folder: Output folder of the run, for `metadata.json`.
        inputs: How films become input, `aiin` above all, as plain values; saved with the weights.
        metadata: Of the bundle; written to the folder with the decision added.
        threshold_rule: See `monai_xr.inferers.decision`.
        abstain: Share of validation films in the bands.
        patience: Epochs without improvement after which the training stops; a resumed one trains one more first.
    """

    def __init__(
        self,
        loader: DataLoader[Any],
        folder: str | Path,
        *,
        inputs: Mapping[str, Any],
        metadata: Mapping[str, Any] | None = None,
        threshold_rule: str = "youden",
        abstain: float = 0.1,
        patience: Any = 10,
    ) -> None:
        dataset: Any = loader.dataset
        self.dataset: LabelledXrays = dataset
        self.loader = loader
        self.folder = Path(folder)
        self.metadata = dict(metadata or {})
        self.rule, self.abstain = threshold_rule, float(abstain)
        kind, _, named = parse_rule(threshold_rule)
        if not self.dataset.multi_label:
            positive_class(self.dataset.classes, named, kind)  # so that what must be named is asked for before training
        self.patience = parse_count(patience, "patience")
        self.loss = ClassLoss(multi_label=self.dataset.multi_label)
        self.best: dict[str, Any] = {"rank": [], "epoch": 0, "inputs": dict(inputs), "decision": {}}

    def attach(self, engine: Engine) -> None:
        """Validate when an epoch ends."""
        if self.dataset.classes != tuple(engine.network.classes):
            found, wanted = (", ".join(names) for names in (self.dataset.classes, engine.network.classes))
            raise InputDataError(f"validation has the classes {found}", "val_split", f"training has {wanted}")
        self.best["architecture"] = engine.network.architecture
        engine.kept["best_network"] = deepcopy(engine.best_guess).requires_grad_(False)
        engine.kept["validation"] = self
        engine.add_event_handler(Events.EPOCH_COMPLETED, self.validate)

    def state_dict(self) -> dict[str, Any]:
        """Give the best epoch and what belongs to it."""
        return self.best

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take up where a training stopped."""
        if any(state[name] != self.best[name] for name in ("architecture", "inputs")):
            raise ConfigurationError("the network or its input has other settings now", "resume", "use the same")
        self.best = state

    def validate(self, engine: Any) -> None:
        """Judge the network of this epoch."""
        with told_if_long("validating"):
            logits, targets = predict(engine.best_guess, self.loader, engine.state.device)
        temperature = fit_temperature(logits.double(), targets.double(), multi_label=self.dataset.multi_label)
        loss = float(self.loss(logits / temperature, targets))
        engine.state.metrics |= {"val/loss": loss, **self._scores(logits, targets)}
        epoch, rank = engine.state.epoch, [engine.state.metrics["val/auroc"], -loss]
        if rank > self.best["rank"]:
            decision = self._decide(logits, targets)
            scores = {name: value for name, value in engine.state.metrics.items() if name.startswith("val/")}
            self.best |= {"rank": rank, "epoch": epoch, "scores": scores, "decision": decision.as_dict()}
            engine.kept["best_network"].load_state_dict(engine.best_guess.state_dict())
            if idist.get_rank() == 0:
                self._write(decision)
        engine.state.best = {"epoch": self.best["epoch"], **self.best.get("scores", {})}
        if epoch - self.best["epoch"] >= self.patience:
            engine.state.stop_reason = f"no better validation in {self.patience} epochs"
            engine.state.max_epochs = epoch  # all handlers of ended epochs take it for the last one

    def _decide(self, logits: Tensor, targets: Tensor) -> Decision:
        return decide(
            logits,
            targets,
            self.dataset.classes,
            multi_label=self.dataset.multi_label,
            rule=self.rule,
            abstain=self.abstain,
        )

    def _scores(self, logits: Tensor, targets: Tensor) -> dict[str, float]:
        """Give the mean AUROC over classes, and the balanced accuracy where a film has one class."""
        scores = logits if self.dataset.multi_label else logits.softmax(1)
        known = torch.isfinite(targets)
        each = [auroc(scores[of, place], targets[of, place] == 1).value for place, of in enumerate(known.T)]
        found = {"val/auroc": sum(each) / len(each)}
        if not self.dataset.multi_label:
            truth, count = targets.argmax(1), logits.shape[1]
            found["val/balanced_accuracy"] = float(multiclass_accuracy(scores, truth, num_classes=count))
        return found

    def _write(self, decision: Decision) -> None:
        known = {name: self.best[name] for name in ("architecture", "inputs", "epoch")}
        content = {**self.metadata, **known, "decision": decision.as_dict()}
        write_json(self.folder / "metadata.json", content)


@torch.no_grad()
def predict(network: XrayClassifier, loader: DataLoader[Any], device: torch.device) -> tuple[Tensor, Tensor]:
    """Give logits (N, C) float32 and targets (N, C) of all films, on the CPU; the network's mode stays as it was."""
    was_training = network.training
    nn.Module.eval(network)
    batches = tqdm(loader, desc="films", unit="batch", leave=False, disable=True if idist.get_rank() else None)
    found = [(network(batch["image"].to(device)).float().cpu(), batch["target"]) for batch in batches]
    network.train(was_training)
    logits, targets = zip(*found, strict=True)
    return torch.cat(logits), torch.cat(targets)
