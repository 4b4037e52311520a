"""Pairs that test generalisation, with families and data that are never trained on.

Every family is `held_out` in `tasks.architectures.FAMILIES`, and every data set is in
`tasks.data.HELD_OUT`. Budgets are chosen from the baseline's curves alone, never from a policy's.
"""

from tasks.suites.pair import Pair, language
from tasks.variant import Variant

_IMAGES = {"pixels": 16, "train": 6_000, "test": 1_500}
_LETTERS = _IMAGES | {"classes": 36}


VALIDATION = {
    "resnet_glyphs": Pair(
        Variant("resnet", "glyphs", {"width": 12}, _LETTERS, 32, seed=11), epochs=10
    ),
    "resnet_waves": Pair(
        Variant("resnet", "waves", {"width": 8, "norm": "group"}, {}, 32, seed=12), epochs=28
    ),
    "vgg_glyphs": Pair(
        Variant(
            "vgg", "glyphs", {"width": 12, "dropout": 0.2}, _IMAGES | {"classes": 62}, 32, seed=13
        ),
        epochs=15,
    ),
    "mixer_waves": Pair(
        Variant("mixer", "waves", {"width": 48, "depth": 3}, {}, 32, seed=15), epochs=30
    ),
    "mixer_glyphs": Pair(
        Variant(
            "mixer",
            "glyphs",
            {"width": 48},
            _LETTERS | {"pixels": 20, "colour": True, "train": 9_000},
            64,
            seed=16,
        ),
        epochs=16,
    ),
    "vit_glyphs": Pair(
        Variant("vit", "glyphs", {"heads": 4, "depth": 3}, _LETTERS, 32, seed=17), epochs=16
    ),
    "vit_waves": Pair(Variant("vit", "waves", {"head_width": 16}, {}, 32, seed=14), epochs=32),
    "gru_source": Pair(
        language(
            "gru_lm",
            "source",
            {"width": 96, "depth": 2, "tied": True, "dropout": 0.1},
            {"context": 30, "train": 150_000, "test": 30_001},
            32,
            seed=18,
        ),
        epochs=7,
    ),
    "gru_docstrings": Pair(
        language(
            "gru_lm", "docstrings", {"width": 96, "tied": True}, {"train": 100_000}, 32, seed=19
        ),
        epochs=7,
    ),
    "conv_autoencoder_photos": Pair(
        Variant("conv_autoencoder", "photos", {"width": 16}, _IMAGES, 32, seed=20), epochs=18
    ),
}
