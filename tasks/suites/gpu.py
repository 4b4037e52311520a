"""Pairs of the size of the challenge's two samples: hours on a CPU, minutes on a GPU.

The challenge's samples are ResNet-18 on CIFAR-10 (11,173,962 weights), and a 3-layer LSTM of 650
units with tied embedding and head on WikiText-2. Each architecture also has a pair whose data need
no download. The budgets of epochs are estimates, since no target has been measured yet.
"""

from tasks.suites.pair import Pair, language
from tasks.variant import Variant

_RESNET18 = {"width": 64, "stages": 4, "depth": 2, "norm": "batch"}
_LSTM = {"width": 650, "depth": 3, "dropout": 0.4, "tied": True}


GPU = {
    "resnet18_cifar10": Pair(Variant("resnet", "cifar10", _RESNET18, {}, 128, 31), epochs=8),
    "resnet18_fashion": Pair(
        Variant("resnet", "fashion", _RESNET18, {"pixels": 32}, 128, 32), epochs=6
    ),
    "lstm_wikitext2": Pair(
        language("rnn_lm", "wikitext2", _LSTM, {"context": 30}, 64, seed=33), epochs=15
    ),
    "lstm_source_words": Pair(
        language("rnn_lm", "source_words", _LSTM, {"context": 30}, 64, seed=34), epochs=15
    ),
}
