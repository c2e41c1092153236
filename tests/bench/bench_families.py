"""Time of a training step of each family on a CUDA card, and the share of the card's matrix rate that it reaches.

64 and 128 px, batch 64, full width: float32, automatic precision, and compiled. Says so and passes where there is no
card; `--device cpu` tries it on tiny networks.
"""

import argparse
import time
from pathlib import Path

import torch
from monai.bundle import ConfigParser
from torch.utils.data import DataLoader, Dataset
from torch.utils.flop_counter import FlopCounterMode

BUNDLES = sorted(Path(__file__).parents[2].glob("bundles/*/configs/train.yaml"))
WAYS = {
    "float32": {"precision": "float32", "compile_mode": "none"},
    "auto precision": {"precision": "auto", "compile_mode": "none"},
    "auto, compiled": {"precision": "auto", "compile_mode": "default"},
}


class Noise(Dataset):
    """Films of two classes that are already in memory."""

    classes = ("NORMAL", "PNEUMONIA")

    def __init__(self, count, size):
        self.images = torch.rand(count, 1, size, size) * 2 - 1

    def __len__(self):
        return len(self.images)

    def __getitem__(self, index):
        return {"image": self.images[index], "label": index % 2}


def engine(config, *, size, batch, steps, device, width, way):
    parser = ConfigParser()
    parser.read_config(str(config))
    known = {
        "image_size": size,
        "batch_size": batch,
        "device": device,
        "max_epochs": 1,
        "class_count": 2,
        "width": width,
    }
    parser.update({name: value for name, value in known.items() if value and name in parser})
    parser["train::handlers"] = []
    parser["train::dataloader"] = DataLoader(Noise(batch * steps, size), batch_size=batch)
    for name, value in way.items():
        parser[f"train::trainer::{name}"] = value
    return parser.get_parsed_content("train::trainer")


def seconds_a_step(config, *, steps, **setting):
    """Median over five epochs of `steps` iterations, after one to warm up; and the operations of one step."""
    trainer = engine(config, steps=steps, **setting)
    wait = torch.cuda.synchronize if setting["device"] == "cuda" else lambda: None
    times = []
    for _ in range(6):
        trainer.state.max_epochs = trainer.state.epoch + 1
        begin = time.perf_counter()
        trainer.run()
        wait()
        times.append((time.perf_counter() - begin) / steps)
    return sorted(times[1:])[2]


def operations(config, **setting):
    """Floating-point operations of one step, counted on the plain network."""
    trainer = engine(config, steps=1, way=WAYS["float32"], **setting)
    with FlopCounterMode(display=False) as counter:
        trainer.run()
    return counter.get_total_flops()


def matrix_rate(device, dtype, side=8192):
    """Operations a second of one large matrix product."""
    a, b = (torch.randn(side, side, device=device, dtype=dtype) for _ in range(2))
    for _ in range(3):
        a @ b
    torch.cuda.synchronize()
    begin = time.perf_counter()
    for _ in range(20):
        a @ b
    torch.cuda.synchronize()
    return 20 * 2 * side**3 / (time.perf_counter() - begin)


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--device", default="cuda")
    device = arguments.parse_args().device
    if device == "cuda" and not torch.cuda.is_available():
        print("skip no CUDA card: step times of the families")
        return
    tiny = device == "cpu"
    setting = {"batch": 4 if tiny else 64, "device": device, "width": 16 if tiny else None}
    rate = None if tiny else matrix_rate(device, torch.bfloat16)
    for config in BUNDLES:
        if "discriminator:" not in config.read_text():
            continue
        for size in (32,) if tiny else (64, 128):
            work = operations(config, size=size, **setting)
            for name, way in WAYS.items():
                if tiny and "compiled" in name:
                    continue
                step = seconds_a_step(config, size=size, steps=2 if tiny else 20, way=way, **setting)
                share = f", {work / step / rate:.1%} of the card's bfloat16 matrix rate" if rate else ""
                label = f"{config.parents[1].name} {size} px batch {setting['batch']} {name}"
                print(f"info {label}: {1000 * step:.1f} ms a step, {work / 1e9:.1f} GFLOP{share}", flush=True)


if __name__ == "__main__":
    main()
