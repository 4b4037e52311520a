"""LearnedLR beside AdamW in several processes, on scikit-learn's digits.

torchrun --standalone --nproc-per-node 2 examples/with_ddp.py --steps 200
"""

import argparse
import contextlib

import torch
import torch.distributed as dist
from sklearn.datasets import load_digits
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from learned_lr import LearnedLR

BATCH_SIZE = 32  # per process


def load_data():
    """Return training and test images with their labels."""
    digits = load_digits()
    images = torch.tensor(digits.data, dtype=torch.float32) / 8 - 1
    labels = torch.tensor(digits.target)
    order = torch.randperm(len(labels), generator=torch.Generator().manual_seed(0))
    images, labels = images[order], labels[order]
    return (images[:1400], labels[:1400]), (images[1400:], labels[1400:])


def train(model, optimizer, images, labels, steps):
    """Train each process on its own batches; DDP averages gradients, LearnedLR averages losses."""
    generator = torch.Generator().manual_seed(1 + dist.get_rank())
    for _ in range(steps):
        chosen = torch.randint(len(labels), (BATCH_SIZE,), generator=generator)
        loss = nn.functional.cross_entropy(model(images[chosen]), labels[chosen])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step(lambda loss=loss: loss)  # both optimizers take a closure


def check_alike(model):
    """Raise RuntimeError if this process's weights differ from the first process's."""
    for parameter in model.parameters():
        first = parameter.detach().clone()
        dist.broadcast(first, 0)
        if not torch.equal(first, parameter):
            raise RuntimeError("the processes have drifted apart")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--steps", type=int, default=200)
    steps = parser.parse_args().steps
    dist.init_process_group("nccl" if torch.cuda.is_available() else "gloo")
    training, (images, labels) = load_data()
    for name, make in (
        ("AdamW, lr=1e-3", lambda parameters: torch.optim.AdamW(parameters, lr=1e-3)),
        ("LearnedLR", LearnedLR),
    ):
        torch.manual_seed(0)
        layers = nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 128), nn.ReLU(), nn.Linear(128, 10)
        model = DistributedDataParallel(nn.Sequential(*layers))
        optimizer = make(model.parameters())
        train(model, optimizer, *training, steps)
        check_alike(model)
        is_ours = isinstance(optimizer, LearnedLR)
        with optimizer.averaged(model) if is_ours else contextlib.nullcontext(), torch.no_grad():
            loss = nn.functional.cross_entropy(model(images), labels)
        if dist.get_rank() == 0:
            world = dist.get_world_size()
            print(f"{name}: test loss {loss:.3f} after {steps} steps of {world} processes")
    dist.destroy_process_group()


if __name__ == "__main__":
    main()
