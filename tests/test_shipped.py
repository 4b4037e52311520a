"""The committed train.py is the export of the committed checkpoint, and works unset."""

from pathlib import Path

import torch
from torch import nn

from checkpoints_to_source.train_file import train_file
from policy.checkpoint import load_policy
from policy.optimizer import LearnedLR

ROOT = Path(__file__).parent.parent


def test_train_py_is_the_export_of_the_shipped_policy():
    exported = train_file(load_policy(ROOT / "checkpoints" / "policy.safetensors")).source
    assert (ROOT / "train.py").read_text() == exported, (
        "run: python -m checkpoints_to_source checkpoints/policy.safetensors --out train.py"
    )


def test_the_shipped_policy_trains_without_a_setting():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 16), nn.Tanh(), nn.Linear(16, 3))
    optimizer = LearnedLR(model.parameters())
    x = torch.randn(256, 4)
    y = x[:, :3].argmax(1)
    losses = []
    for _ in range(150):
        loss = nn.functional.cross_entropy(model(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step(loss)
        losses.append(loss.item())
    assert losses[-1] < 0.4 * losses[0]
