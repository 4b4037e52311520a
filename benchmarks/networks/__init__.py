"""Networks of kinds that neither the training families nor the suites have."""

from collections.abc import Callable, Mapping

from benchmarks.networks import (
    densities,
    embeddings,
    functions,
    language,
    sequences,
    structures,
    vision,
)
from benchmarks.networks.kind import Kind, KindTask

KINDS: Mapping[str, Callable[[], Kind]] = {
    make.__name__: make
    for make in (
        vision.separable,
        vision.convnext,
        vision.dense,
        vision.squeeze_excitation,
        vision.denoising,
        vision.transposed,
        sequences.bidirectional,
        sequences.dilated,
        sequences.linear_recurrence,
        sequences.encoder_decoder,
        language.llama,
        language.experts,
        language.masked,
        language.untied_words,
        embeddings.factorisation,
        embeddings.bags_of_words,
        embeddings.skip_gram,
        embeddings.clicks,
        densities.variational,
        densities.flow,
        densities.contrastive,
        functions.sines,
        functions.differential_equation,
        functions.deep,
        functions.logistic,
        functions.table,
        structures.points,
        structures.graph,
    )
}

__all__ = ["KINDS", "Kind", "KindTask"]
