"""A small GPT on the characters of Python's own help: LearnedLR beside AdamW.

python examples/small_gpt.py --steps 300
"""

import argparse
import contextlib
from pydoc_data.topics import topics

import torch
from torch import nn

from learned_lr import LearnedLR

CONTEXT, BATCH_SIZE, WIDTH, LAYERS = 64, 32, 128, 2


class GPT(nn.Module):
    def __init__(self, characters):
        super().__init__()
        self.tokens = nn.Embedding(characters, WIDTH, _weight=0.02 * torch.randn(characters, WIDTH))
        self.places = nn.Parameter(0.02 * torch.randn(CONTEXT, WIDTH))
        usual = {"dropout": 0, "activation": "gelu", "batch_first": True, "norm_first": True}
        layers = [nn.TransformerEncoderLayer(WIDTH, 4, 4 * WIDTH, **usual) for _ in range(LAYERS)]
        self.layers, self.norm = nn.ModuleList(layers), nn.LayerNorm(WIDTH)
        self.head = nn.Linear(WIDTH, characters, bias=False)

    def forward(self, x):
        mask = nn.Transformer.generate_square_subsequent_mask(CONTEXT)
        hidden = self.tokens(x) + self.places
        for layer in self.layers:
            hidden = layer(hidden, src_mask=mask, is_causal=True)
        return self.head(self.norm(hidden))


def load_data():
    """Return training and test text as integers, and the number of distinct characters."""
    text = "\n".join(topics[name] for name in sorted(topics))
    alphabet = sorted(set(text))
    numbers = torch.tensor([alphabet.index(character) for character in text])
    return numbers[:-40_000], numbers[-40_000:], len(alphabet)


def batches(text, count, seed):
    generator = torch.Generator().manual_seed(seed)
    for _ in range(count):
        starts = torch.randint(len(text) - CONTEXT, (BATCH_SIZE, 1), generator=generator)
        chosen = text[starts + torch.arange(CONTEXT + 1)]
        yield chosen[:, :-1], chosen[:, 1:]


def loss_of(model, x, y):
    return nn.functional.cross_entropy(model(x).flatten(0, 1), y.flatten())


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--steps", type=int, default=300)
    steps = parser.parse_args().steps
    training, testing, characters = load_data()
    for name, make in (
        ("AdamW, lr=1e-3", lambda parameters: torch.optim.AdamW(parameters, lr=1e-3)),
        ("LearnedLR", LearnedLR),
    ):
        torch.manual_seed(0)
        model = GPT(characters)
        optimizer = make(model.parameters())
        for x, y in batches(training, steps, seed=1):
            loss = loss_of(model, x, y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step(lambda loss=loss: loss)  # both take a closure
        ours = isinstance(optimizer, LearnedLR)
        with optimizer.averaged(model) if ours else contextlib.nullcontext(), torch.no_grad():
            losses = [loss_of(model, *batch) for batch in batches(testing, 20, seed=2)]
        print(f"{name}: test loss {sum(losses) / len(losses):.3f} after {steps} steps")


if __name__ == "__main__":
    main()
