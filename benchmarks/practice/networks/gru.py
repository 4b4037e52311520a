"""A language model of gated recurrent units, as in PyTorch's tutorials, with torch's weights."""

from torch import Tensor, nn

from benchmarks.networks.data import SYMBOLS, characters, classification
from benchmarks.networks.kind import Kind

CONTEXT, WIDTH, DEPTH = 64, 192, 2


class Language(nn.Module):
    """Embedding, recurrent layers with dropout between them, and a head."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(SYMBOLS, width)
        self.recurrent = nn.GRU(width, width, DEPTH, batch_first=True, dropout=0.1)
        self.head = nn.Linear(width, SYMBOLS)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.recurrent(self.embedding(x))[0])


def make(width: int) -> Kind:
    """Return the network on 400,000 characters, 16 windows a batch."""
    model = Language(width * WIDTH)
    train, test = characters(CONTEXT, train=400_000)
    outer = [model.embedding.weight, model.head.weight]
    return Kind(model, train, test, classification, batch_size=16, test_batch=250, outer=outer)
