"""A convolutional network with batch norm on scikit-learn's digits: LearnedLR beside AdamW.

python examples/image_classifier.py --steps 300
"""

import argparse
import contextlib

import torch
from sklearn.datasets import load_digits
from torch import nn

from learned_lr import LearnedLR

BATCH_SIZE = 64


def load_data():
    """Return training and test images with their labels."""
    digits = load_digits()
    images = torch.tensor(digits.images, dtype=torch.float32).unsqueeze(1) / 8 - 1
    labels = torch.tensor(digits.target)
    order = torch.randperm(len(labels), generator=torch.Generator().manual_seed(0))
    images, labels = images[order], labels[order]
    return (images[:1400], labels[:1400]), (images[1400:], labels[1400:])


def make_model():
    torch.manual_seed(0)
    return nn.Sequential(
        *(nn.Conv2d(1, 32, 3, padding=1, bias=False), nn.BatchNorm2d(32), nn.ReLU()),
        *(nn.Conv2d(32, 64, 3, padding=1, bias=False), nn.BatchNorm2d(64), nn.ReLU()),
        *(nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(256, 10)),
    )


def batches(images, labels, count, seed):
    generator = torch.Generator().manual_seed(seed)
    for _ in range(count):
        chosen = torch.randint(len(labels), (BATCH_SIZE,), generator=generator)
        yield images[chosen], labels[chosen]


def train(model, optimizer, data, steps):
    model.train()
    for x, y in batches(*data, steps, seed=1):
        loss = nn.functional.cross_entropy(model(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step(lambda loss=loss: loss)  # both optimizers take a closure


@torch.no_grad()
def test(model, images, labels):
    outputs = model.eval()(images)
    accuracy = (outputs.argmax(1) == labels).float().mean()
    return f"loss {nn.functional.cross_entropy(outputs, labels):.3f}, accuracy {accuracy:.3f}"


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--steps", type=int, default=300)
    steps = parser.parse_args().steps
    training, testing = load_data()
    for name, make in (
        ("AdamW, lr=1e-3", lambda parameters: torch.optim.AdamW(parameters, lr=1e-3)),
        ("LearnedLR", LearnedLR),
    ):
        model = make_model()
        optimizer = make(model.parameters())
        train(model, optimizer, training, steps)
        averaged = contextlib.nullcontext()
        if isinstance(optimizer, LearnedLR):  # test its averaged weights, with renewed statistics
            averaged = optimizer.averaged(model, batches(*training, 20, seed=2))
        with averaged:
            print(f"{name}: {test(model, *testing)} after {steps} steps")


if __name__ == "__main__":
    main()
