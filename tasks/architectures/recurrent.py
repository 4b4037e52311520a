"""Recurrent language models: embedding, cells, linear head (Zaremba et al., arXiv:1409.2329)."""

from typing import Any

from torch import Tensor, nn

from tasks.cells import GRU, LSTM, RNN
from tasks.data.formats import Shape
from tasks.layers import Dropout


class RecurrentLanguageModel(nn.Module):
    """Tokens [N, T] -> (logits [N, T, classes], hidden). `hidden` None means zeros.

    tied: head and embedding share their weight (Press & Wolf, arXiv:1608.05859).
    """

    recurrent = True
    cell: Any

    def __init__(
        self,
        shape: Shape,
        *,
        width: int = 24,
        depth: int = 1,
        dropout: float = 0.0,
        tied: bool = False,
    ) -> None:
        super().__init__()
        self.embedding = nn.Embedding(shape.classes, width)
        between = dropout if depth > 1 else 0.0
        self.cells = self.cell(width, width, depth, batch_first=True, dropout=between)
        self.dropout = Dropout(dropout)
        self.head = nn.Linear(width, shape.classes)
        nn.init.uniform_(self.embedding.weight, -0.1, 0.1)
        if tied:
            self.head.weight = self.embedding.weight

    def forward(
        self, tokens: Tensor, hidden: tuple[Tensor, ...] | None = None
    ) -> tuple[Tensor, tuple[Tensor, ...]]:
        # Torch's LSTM returns its state as a tuple, the others as a bare tensor.
        bare = self.cell.parts == 1
        state = hidden[0] if bare and hidden is not None else hidden
        outputs, state = self.cells(self.dropout(self.embedding(tokens)), state)
        return self.head(self.dropout(outputs)), (state,) if bare else state

    def zero_hidden(self, batch_size: int) -> tuple[Tensor, ...]:
        """Return zero states [depth, batch_size, width], with the weights' type and device."""
        shape = self.cells.num_layers, batch_size, self.cells.hidden_size
        return tuple(self.head.weight.new_zeros(shape) for _ in range(self.cell.parts))


class LSTMLanguageModel(RecurrentLanguageModel):
    cell = LSTM


class GRULanguageModel(RecurrentLanguageModel):
    cell = GRU


class ElmanLanguageModel(RecurrentLanguageModel):
    cell = RNN
