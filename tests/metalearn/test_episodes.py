"""Targets lie on the baseline's curves; its time is when it first reaches them."""

import math

import pytest
import torch

from metalearn import episodes
from metalearn.config import Config
from metalearn.episodes import HARD_SHARE, Pool
from metalearn.shard import Shard
from tasks import Curves, DataError, curve_cache, sample_group


def draw(pool, count, **options):
    return pool.draw(count, torch.Generator().manual_seed(0), **options)


def first_below(curve, target):
    """Return the index of each curve's first loss below its target."""
    below = curve < target[:, None]
    assert below.any(1).all(), "never reached"
    return below.float().argmax(1)


def pool_with(monkeypatch, own, averaged):
    """Return a pool of two variants with made-up curves."""
    curves = Curves(torch.tensor([0, 5, 10, 20, 40]), torch.tensor(own), torch.tensor(averaged))
    monkeypatch.setattr(episodes, "cached_curves", lambda *_: curves)
    return Pool(sample_group("mlp", 1, 2), shortest=5, longest=40, seed=0)


@pytest.fixture
def crossing(monkeypatch):
    """Return a pool whose averaged weights are worse at first and better in the end."""
    own = [[2.0, 1.0, 0.9, 0.8, 0.85], [3.0, 2.0, 1.5, 1.6, 1.4]]
    averaged = [[2.0, 1.5, 0.95, 0.7, 0.6], [3.0, 2.5, 1.8, 1.2, math.nan]]
    return pool_with(monkeypatch, own, averaged)


def test_ordinary_targets_are_first_reached_at_the_baselines_time(pool):
    episode = draw(pool, 500, hard=0.0)
    point = first_below(pool.curve[episode.which], episode.target)
    assert torch.equal(pool.steps[point].float(), episode.baseline)
    assert episode.baseline.min() >= 5 and episode.baseline.max() <= 60
    assert len(set(episode.which.tolist())) == 4


def test_hard_targets_are_first_reached_by_the_better_of_both_curves(crossing):
    best = torch.tensor([[2.0, 1.0, 0.9, 0.7, 0.6], [3.0, 2.0, 1.5, 1.2, 1.2]])
    episode = draw(crossing, 500, hard=1.0)
    point = first_below(best[episode.which], episode.target)
    assert torch.equal(crossing.steps[point].float(), episode.baseline)
    assert {round(t, 3) for t in episode.target.tolist()} == {1.0, 0.9, 0.7, 0.6, 2.0, 1.5, 1.2}
    past = episode.target < crossing.curve[episode.which].min(1).values
    assert 0.2 < past.float().mean() < 0.9, "some lie past all of Adam's own losses, some not"


def test_loss_of_the_untrained_network_is_no_target(monkeypatch):
    """This baseline gets worse first, so times drawn from that part give no target."""
    own = [[2.0, 2.5, 2.2, 1.9, 1.0]] * 2
    episode = draw(pool_with(monkeypatch, own, own), 500)
    assert set(episode.baseline.tolist()) == {20.0, 40.0}
    assert {round(target, 3) for target in episode.target.tolist()} == {1.9, 1.0}


def test_hard_targets_are_a_third_by_default(crossing):
    past = [0.7, 0.6, 1.2]

    def count(**options):
        targets = draw(crossing, 3000, **options).target.tolist()
        return sum(any(math.isclose(t, p, rel_tol=1e-5) for p in past) for t in targets)

    assert count(hard=0.0) == 0
    assert count() / count(hard=1.0) == pytest.approx(HARD_SHARE, abs=0.05)


def test_lengths_are_log_uniform_up_to_the_longest():
    pool = Pool(sample_group("mlp", 1, 2), shortest=5, longest=400, seed=0)
    steps = torch.arange(len(pool.steps), dtype=torch.float32)
    pool.ordinary = 2 - steps.expand(2, -1) / len(steps)  # no plateaus, so times are those drawn
    times = draw(pool, 4000, hard=0.0).baseline
    share = [((times >= a) & (times < 2 * a)).float().mean().item() for a in (25, 50, 100)]
    expected = math.log(2) / math.log(400 / 5)
    assert share == pytest.approx([expected] * 3, abs=0.03)
    assert draw(pool, 4000, hard=0.0, longest=100).baseline.max() == 100


def test_pool_refuses_a_task_without_a_finite_loss(monkeypatch):
    nan = [[math.nan] * 5] * 2
    with pytest.raises(ValueError, match="initial test loss is not finite"):
        pool_with(monkeypatch, nan, nan)


def test_processes_start_with_their_share_of_the_groups(monkeypatch, tmp_path):
    """All processes have the same pools in the same order."""
    built = []

    def build(config, device, seed, f, g):
        built.append((f, g))
        return (f, g)

    monkeypatch.setattr(episodes, "build_pool", build)
    config = Config(tmp_path, families=("mlp", "cnn"), groups=2)
    whole = episodes.build_pools(config, "cpu", 0)
    assert whole == built == [(0, 0), (0, 1), (1, 0), (1, 1)]
    begun = []
    for rank in range(2):
        built.clear()
        assert episodes.build_pools(config, "cpu", 0, Shard(rank, 2)) == whole
        begun.append(built[:2])
    assert begun == [[(0, 0), (1, 0)], [(0, 1), (1, 1)]]


def test_variants_are_augmented_and_read_files_on_request(monkeypatch, tmp_path):
    monkeypatch.setattr(episodes, "Pool", lambda variants, *_: variants)
    monkeypatch.setitem(episodes.NEEDS_FILES, "fashion", lambda root: root)
    for asked in ({}, {"augment": True}, {"files": True}):
        config = Config(tmp_path, families=("mlp",), groups=20, **asked)
        variants = [group[0] for group in episodes.build_pools(config, "cpu", 0)]
        found = {
            "augment": any(v.clip or v.gradient_noise or v.init != "default" for v in variants),
            "files": any(v.data == "fashion" for v in variants),
        }
        assert [name for name, is_so in found.items() if is_so] == list(asked)


def test_missing_files_are_reported_before_computing_curves(monkeypatch, tmp_path):
    def find(root):
        raise DataError("no fashion here")

    monkeypatch.setattr(episodes, "build_pool", lambda *_: pytest.fail("was built"))
    monkeypatch.setitem(episodes.NEEDS_FILES, "fashion", find)
    with pytest.raises(DataError, match="no fashion here"):
        episodes.build_pools(Config(tmp_path, families=("mlp",), files=True), "cpu", 0)


def test_pools_of_every_generation_are_cached(monkeypatch, tmp_path):
    """Building them again, as when a run resumes, trains nothing."""
    config = Config(tmp_path, families=("mlp",), groups=1, variants=2, shortest=5, longest=10)

    def build():
        return [episodes.build_pool(config, "cpu", 7, 0, 0, generation) for generation in (0, 1)]

    first, later = build()
    monkeypatch.setattr(curve_cache, "adam_curves", None)
    again = build()
    assert first.task.variants != later.task.variants
    for a, b in zip((first, later), again, strict=True):
        assert a.task.variants == b.task.variants and torch.equal(a.curve, b.curve)
