"""Held-out pairs, larger than those of `validation`: the baseline takes one to three minutes.

The held-out families and data are those of `validation`, but each pair differs in size, form of the
data or batch size. No policy, feature or constant was tuned on this suite. Its results led to the
long races of the calibration (docs/results.md). Budgets are chosen from the baseline's curves
alone.
"""

from tasks.suites.pair import Pair, language
from tasks.variant import Variant

_IMAGES = {"pixels": 20, "classes": 62, "train": 16_000, "test": 2_000}
_WAVES = {"length": 64, "classes": 20, "train": 16_000, "test": 2_000}


LONG = {
    "long_resnet_glyphs": Pair(
        Variant("resnet", "glyphs", {"width": 16, "stages": 3}, _IMAGES, 64, seed=41), epochs=18
    ),
    "long_resnet_waves": Pair(
        Variant(
            "resnet", "waves", {"width": 16, "stages": 3, "activation": "gelu"}, _WAVES, 32, seed=42
        ),
        epochs=40,
    ),
    "long_vgg_glyphs": Pair(
        Variant(
            "vgg",
            "glyphs",
            {"width": 16, "stages": 3, "norm": "none", "head": 128},
            _IMAGES | {"pixels": 24, "colour": True},
            64,
            seed=43,
        ),
        epochs=20,
    ),
    "long_mixer_glyphs": Pair(
        Variant("mixer", "glyphs", {"width": 96, "depth": 3}, _IMAGES, 64, seed=44), epochs=20
    ),
    "long_vit_glyphs": Pair(
        Variant("vit", "glyphs", {"heads": 4, "head_width": 16, "depth": 4}, _IMAGES, 32, seed=45),
        epochs=18,
    ),
    "long_vit_waves": Pair(
        Variant("vit", "waves", {"heads": 4, "head_width": 12, "depth": 4}, _WAVES, 64, seed=46),
        epochs=36,
    ),
    "long_gru_source": Pair(
        language(
            "gru_lm",
            "source",
            {"width": 192},
            {"context": 40, "train": 600_000, "test": 40_001},
            32,
            seed=47,
        ),
        epochs=11,
    ),
    "long_gru_docstrings": Pair(
        language(
            "gru_lm",
            "docstrings",
            {"width": 128, "depth": 2, "tied": True, "dropout": 0.2},
            {"vocabulary": 4_000, "train": 200_000},
            16,
            seed=48,
        ),
        epochs=8,
    ),
    "long_conv_autoencoder_glyphs": Pair(
        Variant(
            "conv_autoencoder", "glyphs", {"width": 24, "depth": 2, "code": 8}, _IMAGES, 32, seed=49
        ),
        epochs=16,
    ),
}
