"""`python -m metalearn`: meta-train a policy, under torchrun with many processes."""

import itertools
import json
import sys
import tempfile

import torch
import tyro
from rich.console import Console

from metalearn.checkpoint import CheckpointError
from metalearn.config import Config, ConfigError
from metalearn.episodes import build_pools
from metalearn.evaluation import SCORING, Evaluation
from metalearn.progress import Reporter, plot_log, read_log, score_table
from metalearn.shard import alone_in, join
from metalearn.trainer import Trainer, check_start, find_start
from policy.checkpoint import PolicyError
from tasks import DataError
from writing.files import write_atomically

#: Seconds until a network file system releases the locks of a dead machine (an NFS lease: 90).
RELEASED = 100.0


def main() -> None:
    """Meta-train a policy; for unusable input print one line and exit with status 2."""
    try:
        text = "Meta-train a learning-rate policy."
        _run(tyro.cli(Config, prog="python -m metalearn", description=text))
    except (ConfigError, CheckpointError, PolicyError, DataError, OSError) as fault:
        print(f"error: {fault}", file=sys.stderr)
        sys.exit(2)


def _run(config):
    config.check()
    shard, device = join(config.device)
    torch.set_num_threads(1)
    check_start(config, shard)
    try:
        config.out.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=config.out).close()  # fail now rather than after hours
    except OSError as fault:
        raise ConfigError(f"--out {config.out} can't be a folder ({fault.strerror})") from None
    with alone_in(config.out, shard, RELEASED):
        shard.wait()  # then all see what the folder's previous holder has written
        start = find_start(config, shard)  # before the pools, which may take minutes
        pools = build_pools(config, device, config.seed, shard)
        _train(config, Trainer(config, pools, shard, start), shard, device)
    shard.leave()


def _train(config, trainer, shard, device):
    if shard.rank == 0:
        with Reporter(config, trainer.outer.step, _names(config)) as reporter:
            trainer.run(reporter)
        plot_log(read_log(config.out / "log.jsonl"), config.out / "meta_loss.png")
    else:
        trainer.run(lambda record: None)
    evaluation = Evaluation(config, trainer.spec, SCORING, device, shard)
    before, after = (evaluation.scores(theta) for theta in (trainer.initial, trainer.outer.average))
    if shard.rank == 0:
        Console().print(score_table(before, after))
        scores = {
            "unlearned": [score._asdict() for score in before],
            "learned": [score._asdict() for score in after],
        }
        write_atomically(config.out / "scores.json", json.dumps(scores, indent=1).encode())


def _names(config):
    """Return one name per group. A family may be named more than once."""
    numbers = {family: itertools.count() for family in config.families}
    named = [family for family in config.families for _ in range(config.groups)]
    return [f"{family}.{next(numbers[family])}" for family in named]


if __name__ == "__main__":
    main()
