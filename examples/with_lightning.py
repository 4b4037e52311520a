"""LearnedLR beside AdamW in Lightning, on scikit-learn's digits.

python examples/with_lightning.py --steps 300
"""

import argparse
import contextlib
import logging
import warnings

import lightning
import torch
from sklearn.datasets import load_digits
from torch import nn
from torch.utils.data import DataLoader, TensorDataset, random_split

from learned_lr import LearnedLR


class Classifier(lightning.LightningModule):
    def __init__(self, make_optimizer):
        super().__init__()
        self.make_optimizer = make_optimizer
        self.net = nn.Sequential(
            *(nn.Linear(64, 128), nn.BatchNorm1d(128), nn.ReLU()),
            *(nn.Linear(128, 128), nn.BatchNorm1d(128), nn.ReLU(), nn.Linear(128, 10)),
        )

    def forward(self, x):
        return self.net(x)

    def training_step(self, batch, _):
        x, y = batch
        return nn.functional.cross_entropy(self(x), y)

    def validation_step(self, batch, index):
        self.log("loss", self.training_step(batch, index))

    def configure_optimizers(self):
        return self.make_optimizer(self.parameters())  # nothing else: Lightning passes the loss


def load_data():
    """Return loaders of training and test images."""
    digits = load_digits()
    images = torch.tensor(digits.data, dtype=torch.float32) / 8 - 1
    data = TensorDataset(images, torch.tensor(digits.target))
    parts = random_split(data, (1400, 397), torch.Generator().manual_seed(0))
    return DataLoader(parts[0], 64, shuffle=True), DataLoader(parts[1], 397)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--steps", type=int, default=300)
    steps = parser.parse_args().steps
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", module="lightning")
    training, testing = load_data()
    for name, make in (
        ("AdamW, lr=1e-3", lambda parameters: torch.optim.AdamW(parameters, lr=1e-3)),
        ("LearnedLR", LearnedLR),
    ):
        lightning.seed_everything(0, verbose=False)
        model = Classifier(make)
        options = {"max_steps": steps, "accelerator": "cpu", "devices": 1, "logger": False}
        quiet = "checkpointing", "progress_bar", "model_summary"
        trainer = lightning.Trainer(**options, **{f"enable_{name}": False for name in quiet})
        trainer.fit(model, training)
        (optimizer,) = trainer.optimizers
        is_ours = isinstance(optimizer, LearnedLR)
        with optimizer.averaged(model, training) if is_ours else contextlib.nullcontext():
            (metrics,) = trainer.validate(model, testing, verbose=False)
        print(f"{name}: test loss {metrics['loss']:.3f} after {steps} steps")


if __name__ == "__main__":
    main()
