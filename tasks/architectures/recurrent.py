"""Recurrent language model: embedding, LSTM, linear head (Zaremba et al., arXiv:1409.2329)."""

from __future__ import annotations

from torch import Tensor, nn

from tasks.data.formats import Shape
from tasks.layers import LSTM


class LSTMLanguageModel(nn.Module):
    """Tokens [N, T] -> (logits [N, T, classes], hidden); `hidden` None starts from zeros.

    tied: the head's weight is the embedding's (Press & Wolf, arXiv:1608.05859).
    """

    recurrent = True

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
        self.lstm = LSTM(
            width, width, depth, batch_first=True, dropout=dropout if depth > 1 else 0.0
        )
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(width, shape.classes)
        nn.init.uniform_(self.embedding.weight, -0.1, 0.1)
        if tied:
            self.head.weight = self.embedding.weight

    def forward(self, tokens: Tensor, hidden=None):
        outputs, hidden = self.lstm(self.dropout(self.embedding(tokens)), hidden)
        return self.head(self.dropout(outputs)), hidden

    def zero_hidden(self, batch_size: int) -> tuple[Tensor, Tensor]:
        """Two tensors [depth, batch_size, width], like the weights in kind and place."""
        shape = self.lstm.num_layers, batch_size, self.lstm.hidden_size
        zeros = self.head.weight.new_zeros(shape)
        return zeros, zeros.clone()
