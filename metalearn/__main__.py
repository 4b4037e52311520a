"""`python -m metalearn`: meta-train a policy; under torchrun, on many processes."""

import contextlib
import itertools
import json
import sys
import tempfile

import torch
import tyro
from rich.console import Console

from metalearn.alone import alone_in
from metalearn.checkpoint import CheckpointError
from metalearn.config import Config, ConfigError
from metalearn.episodes import build_pools
from metalearn.evaluation import SCORING, Evaluation
from metalearn.log import read_log
from metalearn.progress import Reporter, plot_log, score_table
from metalearn.shard import join
from metalearn.trainer import Trainer, check_start, find_start
from policy.checkpoint import PolicyError
from tasks import DataError
from writing.files import write_atomically

#: Seconds in which a network file system frees what a machine held that died (an NFS lease: 90).
RELEASED = 100.0


def main() -> None:
    """Meta-train; exit status 2 and one line for input that can't be used."""
    try:
        _run(tyro.cli(Config, description="Meta-train a learning-rate policy."))
    except (ConfigError, CheckpointError, PolicyError, DataError, OSError) as fault:
        sys.exit(_fail(fault))


def _fail(fault):
    print(f"error: {fault}", file=sys.stderr)
    return 2


def _run(config):
    config.check()
    shard, device = join(config.device)
    torch.set_num_threads(1)
    check_start(config, shard)
    config.out.mkdir(parents=True, exist_ok=True)
    tempfile.TemporaryFile(dir=config.out).close()  # rather now than after hours
    is_first = shard.rank == 0
    with alone_in(config.out, RELEASED) if is_first else contextlib.nullcontext():
        shard.wait()  # all see what whoever held the folder before has written
        trainer = _trainer(config, shard, device)
        _train(config, trainer, shard, device)
    shard.leave()


def _trainer(config, shard, device):
    start = find_start(config, shard)  # before the pools, which may take minutes
    return Trainer(config, build_pools(config, device, config.seed, shard), shard, start)


def _train(config, trainer, shard, device):
    if shard.rank == 0:
        with Reporter(config, trainer.outer.step, _names(config)) as reporter:
            trainer.run(reporter)
        plot_log(read_log(config.out / "log.jsonl"), config.out / "meta_loss.png")
    else:
        trainer.run(lambda record: None)
    evaluation = Evaluation(config, trainer.spec, SCORING, device, shard)
    scores = [evaluation.scores(theta) for theta in (trainer.initial, trainer.outer.average)]
    if shard.rank == 0:
        _show(config, *scores)


def _names(config):
    """One for each group; a family may be named more than once."""
    numbers = {family: itertools.count() for family in config.families}
    return [
        f"{family}.{next(numbers[family])}"
        for family in config.families
        for _ in range(config.groups)
    ]


def _show(config, before, after):
    """The scores of the policy that the run began with, and of the learned one."""
    Console().print(score_table(before, after))
    scores = {
        "unlearned": [s._asdict() for s in before],
        "learned": [s._asdict() for s in after],
    }
    write_atomically(config.out / "scores.json", json.dumps(scores, indent=1).encode())


if __name__ == "__main__":
    main()
