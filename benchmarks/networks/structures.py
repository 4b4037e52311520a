"""Sets and graphs."""

import torch
from torch import nn

from benchmarks.networks.data import classification, divided, generator
from benchmarks.networks.kind import Kind, perceptron


class _PointNet(nn.Module):
    def __init__(self, classes):
        super().__init__()
        self.each = perceptron(3, 64, 128, 128)
        self.all = perceptron(128, 64, classes)

    def forward(self, x):
        return self.all(self.each(x).amax(1))


def points() -> Kind:
    """Return a classifier of randomly rotated point clouds (Qi et al. 2017, PointNet).

    It takes the maximum over points.
    """
    draw, count = generator(1), 4_000
    normal = torch.randn(count, 64, 3, generator=draw)
    flat, height = normal[..., :2], normal[..., 2:]
    ring = flat / flat.norm(dim=-1, keepdim=True)
    shapes = [
        normal / normal.norm(dim=-1, keepdim=True),
        normal / normal.abs().amax(-1, keepdim=True),
        normal / normal.abs().sum(-1, keepdim=True),
        torch.cat([ring, height.tanh()], -1),
        torch.cat([flat.tanh(), torch.zeros_like(height)], -1),
    ]
    y = torch.randint(0, len(shapes), (count,), generator=draw)
    x = torch.stack(shapes)[y, torch.arange(count)]
    turn, _ = torch.linalg.qr(torch.randn(count, 3, 3, generator=draw))
    size = 0.7 + 0.6 * torch.rand(count, 1, 1, generator=draw)
    x = size * (x @ turn) + 0.1 * torch.randn(x.shape, generator=draw)
    return Kind(_PointNet(len(shapes)), *divided((x, y), 1_000), classification)


class _Convolutions(nn.Module):
    def __init__(self, graph, nodes, classes, width=32):
        super().__init__()
        self.register_buffer("graph", graph)
        self.register_buffer("nodes", nodes)
        sides = nodes.shape[1], width, width, classes
        pairs = zip(sides, sides[1:], strict=False)
        self.layers = nn.ModuleList([nn.Linear(*pair) for pair in pairs])

    def forward(self, index):
        hidden = self.nodes
        for layer in self.layers:
            hidden = self.graph @ layer(hidden if layer is self.layers[0] else hidden.relu())
        return hidden[index]


def graph() -> Kind:
    """Return graph convolutions on a whole graph that find communities (Kipf & Welling 2017)."""
    draw, count, classes = generator(9), 1_200, 5
    y = torch.randint(0, classes, (count,), generator=draw)
    rate = torch.where(y[:, None] == y, 0.02, 0.006)
    edges = (torch.rand(count, count, generator=draw) < rate).float().triu(1)
    edges = edges + edges.T + torch.eye(count)
    degree = edges.sum(1).rsqrt()
    centres = 0.3 * torch.randn(classes, 64, generator=draw)
    nodes = centres[y] + torch.randn(count, 64, generator=draw)
    order = torch.randperm(count, generator=draw)
    model = _Convolutions(degree[:, None] * edges * degree, nodes, classes)
    return Kind(model, *divided((order, y[order]), 400), classification)
