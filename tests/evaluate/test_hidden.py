"""Hidden matrices are those that neither embed nor classify, in any order of the state."""

import pytest

from evaluate.run.counting import modules
from evaluate.run.hidden import hidden_matrices
from evaluate.run.process import Job
from evaluate.run.worker import told
from tasks import Variant, build_task

BLOCK = ["qkv", "project", "mlp.0", "mlp.2"]
GRU = ["cells.weight_ih_l0", "cells.weight_hh_l0", "cells.weight_ih_l1", "cells.weight_hh_l1"]


def named(variant):
    task = build_task(variant)
    network = modules(task)[-1]  # skip the rescaling layer, if any
    names = [name.removeprefix("network.") for name, _ in network.named_parameters()]
    return [names[place] for place in hidden_matrices(task)]


@pytest.mark.parametrize("reparam", [0.0, 1.0])
@pytest.mark.parametrize(
    "family, data, options, expected",
    [
        ("gru_lm", "topics", {"depth": 2, "tied": True}, GRU),
        ("gru_lm", "topics", {"depth": 2, "tied": False}, GRU),
        ("transformer_lm", "topics", {"depth": 1}, [f"blocks.0.{name}.weight" for name in BLOCK]),
        ("vit", "digits", {"depth": 1}, [f"blocks.0.{name}.weight" for name in BLOCK]),
        ("mlp", "digits", {"depth": 2}, ["hidden.1.weight"]),
        ("mlp", "digits", {"depth": 1}, []),
    ],
)
def test_hidden_matrices_of_networks_that_embed_and_classify(
    family, data, options, expected, reparam
):
    assert named(Variant(family, data, arch=options, reparam=reparam, target=1.0)) == expected


def test_hidden_matrices_of_a_recurrent_network():
    arch = {"depth": 2, "tied": True}
    variant = Variant("gru_lm", "topics", arch=arch, oracle="language", reparam=1.0, target=1.0)
    assert named(variant) == GRU


def test_hidden_filters_are_between_first_and_last_layer():
    task = build_task(Variant("cnn", "digits", arch={"norm": "batch", "depth": 3}, target=1.0))
    convolutions = [i for i, weight in enumerate(task.state) if weight.dim() == 4]
    assert len(convolutions) == 3 and hidden_matrices(task) == convolutions[1:]


def test_only_peers_learn_which_matrices_are_hidden():
    task = build_task(Variant("mlp", "digits", arch={"depth": 2}, target=1.0))
    job = Job("train.py", {}, 0, 1.0, "cpu", 1)
    assert told(job, task) == job
    peer = Job("peer.py", {}, 0, 1.0, "cpu", 1, given={"horizon": 3})
    assert told(peer, task).given == {"horizon": 3, "hidden": [2]}
