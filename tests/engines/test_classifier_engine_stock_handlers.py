"""MONAI's own handlers on our engines: they read a list of one dict per image, as MONAI's trainers give it."""

import logging

import pytest
import torch
from mlflow.tracking import MlflowClient
from monai.data import decollate_batch
from monai.handlers import ROCAUC, LrScheduleHandler, MetricLogger, MLFlowHandler, StatsHandler, from_engine
from torch.utils.data import DataLoader

from monai_xr.engines import ClassifierEngine
from monai_xr.losses import ClassLoss
from monai_xr.networks import make_classifier
from monai_xr.optimizers import layered_adamw


def classifier(handlers):
    torch.manual_seed(0)
    network = make_classifier("resnet10t", image_size=32, classes=("a", "b"))
    films = [{"image": torch.full((1, 32, 32), i / 4 - 1), "target": torch.eye(2)[i % 2]} for i in range(8)]
    return ClassifierEngine(
        device="cpu",
        max_epochs=1,
        train_data_loader=DataLoader(films, batch_size=4),
        network=network,
        optimizer=layered_adamw(network, learning_rate=1e-3),
        loss_function=ClassLoss(),
        precision="float32",
        train_handlers=handlers,
    )


@pytest.fixture(params=["gan", "classifier"])
def make(request, make_engine):
    """Build an engine of each kind with given handlers."""
    if request.param == "classifier":
        return classifier
    return lambda handlers: make_engine(max_epochs=1, handlers=handlers)


def test_loss_reaches_stats_handler_and_metric_logger_as_a_number(make, capsys, tmp_path):
    logger = MetricLogger(loss_transform=from_engine(["loss"], first=True))
    stats = StatsHandler(name=tmp_path.name, tag_name="train_loss", output_transform=from_engine(["loss"], first=True))
    logging.getLogger(tmp_path.name).setLevel(logging.INFO)
    engine = make([[stats], logger])  # as with `usual_handlers`, whose list is one of several
    engine.run()
    told = [line for line in capsys.readouterr().out.splitlines() if "train_loss: " in line]
    assert len(told) == len(logger.loss) == 2
    loss = float(engine.state.output["loss"])
    assert f"train_loss: {loss:.4f}" in told[-1]
    assert float(logger.loss[-1][1]) == pytest.approx(loss)


def test_mlflow_handler_logs_the_loss_of_every_iteration(make, mlflow_store, tmp_path):
    uri = mlflow_store(tmp_path)
    stock = MLFlowHandler(
        tracking_uri=uri, experiment_name="stock", output_transform=from_engine(["loss"], first=True),
        close_on_complete=True,
    )  # fmt: skip
    engine = make([stock])
    engine.run()
    client = MlflowClient(uri)
    (run,) = client.search_runs([client.get_experiment_by_name("stock").experiment_id])
    history = client.get_metric_history(run.info.run_id, "Loss")
    assert [point.step for point in history] == [1, 2]
    assert history[-1].value == pytest.approx(float(engine.state.output["loss"]))


def test_learning_rate_handler_steps(make):
    engine = make([])
    scheduler = torch.optim.lr_scheduler.LambdaLR(engine.optimizer, lambda epoch: 1.0)
    LrScheduleHandler(scheduler, print_lr=False).attach(engine)
    engine.run()
    assert scheduler.last_epoch == 1


def test_metric_of_monai_reads_predictions_and_labels():
    engine = classifier([])
    ROCAUC(average="macro", output_transform=from_engine(["pred", "label"])).attach(engine, "auc")
    engine.run()
    assert 0 <= engine.state.metrics["auc"] <= 1


def test_output_holds_the_items_that_monai_makes_of_the_same_batch(make):
    engine = make([])
    engine.run()
    output = engine.state.output
    whole = {name: output[name] for name in output[0] if name != "losses"}
    for ours, monais in zip(output, decollate_batch(whole, detach=True), strict=True):
        assert ours.keys() - {"losses"} == monais.keys()
        for name, value in monais.items():
            assert torch.equal(torch.as_tensor(ours[name]), torch.as_tensor(value, dtype=ours[name].dtype)), name
    assert float(output[0]["losses"][next(iter(output["losses"]))]) == float(next(iter(output["losses"].values())))
    assert not any(value.requires_grad for value in whole.values())
