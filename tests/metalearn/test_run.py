"""Runs: resuming is exact, checkpoints survive damage, bad input is refused in one line."""

import contextlib
import itertools
import json
import math
import resource
import shutil
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from processes import side_by_side

from metalearn import __main__ as command
from metalearn import checkpoint
from metalearn.__main__ import _names
from metalearn.checkpoint import CheckpointError, load_latest
from metalearn.config import LARGEST_SEED, Config, ConfigError
from metalearn.episodes import Pool, build_pools
from metalearn.evaluation import COMPARISON, SCORING, Best, Evaluation, Sample
from metalearn.inner import InnerProblem
from metalearn.outer import Outer
from metalearn.progress import Reporter, plot_log, read_log
from metalearn.shard import Shard, _check_store, alone_in, join
from metalearn.trainer import Trainer, find_start
from metalearn.unroll import Unroll
from metalearn.validate import Score
from policy.checkpoint import Policy, load_policy, save_policy
from policy.rule.spec import Spec
from policy.rule.weights import flatten, initial_weights, linear_path


@pytest.fixture
def config(tmp_path):
    return Config(
        out=tmp_path / "run",
        families=("mlp",),
        groups=1,
        pairs=2,
        truncation=10,
        steps=6,
        checkpoint_every=3,
        shortest=20,
        longest=60,
        evaluate_every=0,
    )


def train(config, pool, until=None):
    """Train to the end, or stop abruptly after `until` outer steps."""
    trainer = Trainer(config, [pool] * config.groups, Shard())

    def report(record):
        if record.step == until:
            raise InterruptedError

    with contextlib.suppress(InterruptedError):
        trainer.run(report)
    return trainer


CHANGES = [
    {},
    {"warm_start": 4},
    {"curriculum": 5},
    {"estimator": "pes", "meta_loss": "time"},
    {"estimator": "es"},
    {"working_size": True, "groups": 2},
    {"estimator": "unroll"},
    {"linear": 4},
    {"renew_every": 2, "groups": 2, "variants": 2},
    {"renew_every": 2, "groups": 2, "variants": 2, "augment": True},
]


@pytest.mark.parametrize("changes", CHANGES)
def test_resumed_run_equals_an_uninterrupted_one_bit_for_bit(config, pool, changes):
    config = replace(config, **changes)
    whole = train(replace(config, out=config.out / "whole"), pool)
    assert (whole.outer.average - whole.initial).abs().max() > 1e-4
    train(config, pool, until=5)  # the last checkpoint is of step 3; steps 4 and 5 are lost
    resumed = Trainer(config, [pool] * config.groups, Shard())
    assert resumed.outer.step == 3
    resumed.run(lambda record: None)
    for name, value in whole.outer.state().items():
        assert torch.equal(value, resumed.outer.state()[name]), name
    for one, other in zip(whole.estimators, resumed.estimators, strict=True):
        assert all(map(torch.equal, one.state(), other.state()))
    files = [config.out / "whole" / "policy.safetensors", config.out / "policy.safetensors"]
    a, b = (load_policy(path) for path in files)
    assert all(torch.equal(a.weights[k], b.weights[k]) for k in a.weights)


def test_warm_start_switches_to_evolution(config, pool):
    """During the warm start nothing is perturbed: both particles of a pair are the same."""
    trainer = Trainer(replace(config, warm_start=2), [pool], Shard())
    episode = trainer.estimators[0].problem.particles.episode
    episode.target.fill_(-1.0)  # no episode ends during the test
    episode.baseline.fill_(1000.0)
    for _ in range(2):
        record = trainer._step()
        assert record.norm[0] > 0 and trainer.estimators[0].sums.abs().max() == 0
        assert record.inner_steps == 2 * 10, "one particle of each pair is unrolled"
    weights = trainer.estimators[0].problem.particles.carry.buffers.weight
    assert torch.equal(*weights.chunk(2))
    trainer._step()
    assert not torch.equal(*weights.chunk(2))


def test_warm_start_lowers_its_losses(config, pool):
    """Losses of whole truncations fall, on the same variants and batches."""
    config = replace(config, pairs=8, steps=12, warmup=1, warm_start=12)
    trainer = train(config, pool)

    def loss(theta):
        generator = torch.Generator().manual_seed(3)
        problem = InnerProblem(pool, trainer.spec, 32, 40, Shard(), generator)
        return Unroll(problem, len(theta), 0.0, Shard(), generator).meta_loss(theta).mean().item()

    assert loss(trainer.outer.theta.detach()) < 0.97 * loss(trainer.initial)


@pytest.mark.parametrize("changes", [{}, {"estimator": "unroll"}, {"warm_start": 2}])
def test_only_the_linear_path_learns_at_first(config, pool, changes):
    trainer = Trainer(replace(config, linear=3, **changes), [pool], Shard())
    linear = linear_path(trainer.spec).bool()
    for _ in range(3):
        trainer._step()
    moved = trainer.outer.theta != trainer.initial
    assert moved[linear].any() and not moved[~linear].any()
    for _ in range(3):
        trainer._step()
    assert (trainer.outer.theta != trainer.initial)[~linear].any()


def test_groups_get_fresh_architectures_alternately(config):
    config = replace(config, groups=2, variants=1, renew_every=1)
    trainer = Trainer(config, build_pools(config, torch.device("cpu"), 0), Shard())
    seen = [[e.problem.pool.task.variants[0] for e in trainer.estimators]]
    for step in (1, 2, 3):
        trainer._renew(step)
        seen.append([e.problem.pool.task.variants[0] for e in trainer.estimators])
    changed = [[a != b for a, b in zip(*two, strict=True)] for two in itertools.pairwise(seen)]
    assert changed == [[True, False], [False, True], [True, False]]
    assert seen[3][0] not in (seen[0][0], seen[1][0])
    resumed = Trainer(config, build_pools(config, torch.device("cpu"), 0), Shard())
    resumed.outer.step = 3
    resumed._repeat_renewals()
    assert [e.problem.pool.task.variants[0] for e in resumed.estimators] == seen[3]


def test_evaluation_keeps_the_best_without_affecting_training(config, pool):
    plain = train(replace(config, out=config.out / "plain"), pool)
    config = replace(config, evaluate_every=2)
    records = []
    trainer = Trainer(config, [pool], Shard())
    trainer.run(records.append)
    assert torch.equal(plain.outer.theta, trainer.outer.theta)
    measured = [r.evaluated for r in records]
    assert [m is None for m in measured] == [True, False] * 3
    assert trainer.best.ratio == min(m for m in measured if m is not None)
    assert trainer.evaluation.ratio(trainer.best.theta) == trainer.best.ratio
    again = Trainer(config, [pool], Shard())
    assert again.best.ratio == trainer.best.ratio
    best = load_policy(config.out / "best.safetensors")
    assert torch.equal(flatten(best.spec, best.weights), trainer.best.theta)


def test_families_are_scored_by_one_process_each(config):
    config = replace(config, families=("autoencoder", "mlp"))
    theta = flatten(Spec(), initial_weights(Spec(), 0))

    def scores(shard):
        return Evaluation(config, Spec(), Sample(1, 2, 7), torch.device("cpu"), shard).scores(theta)

    parts = [Shard(rank, 2) for rank in range(2)]
    for part in parts:
        object.__setattr__(part, "sum", lambda numbers: numbers)  # no exchange
    first, second = map(scores, parts)
    assert [first[0], second[1]] == scores(Shard()) and first[0].count == 2
    assert first[1].count == second[0].count == 0


def test_ratio_is_the_mean_of_the_inverse_speed_ups(config, monkeypatch):
    config, idle = replace(config, families=("mlp", "cnn")), Shard(2, 3)  # this rank has no family
    scores = [Score("mlp", 2.0, 0.1, 1.0, 8), Score("cnn", 4.0, 0.1, 1.0, 8)]
    monkeypatch.setattr(Evaluation, "scores", lambda self, theta: scores)
    measured = Evaluation(config, Spec(), Sample(1, 2, 7), torch.device("cpu"), idle)
    assert measured.ratio(None) == 0.375


def test_worse_or_undefined_evaluations_are_not_kept():
    best = Best(torch.zeros(2))
    for value, ratio in [(1, 0.9), (2, float("nan")), (3, 0.95), (4, 0.8), (5, 0.8)]:
        best.offer(torch.full((2,), float(value)), ratio, 10 * value)
    assert best.theta[0] == 4 and best.ratio == 0.8 and best.step == 40
    again = Best(torch.ones(2))
    again.restore(best.state())
    assert (again.theta[0], again.ratio, again.step) == (4, 0.8, 40)


def test_missing_setting_gets_its_default(config):
    settings = json.loads(config.to_json())
    del settings["curriculum"]
    assert config.differences(json.dumps(settings)) == []
    assert replace(config, curriculum=3).differences(json.dumps(settings)) == ["curriculum"]


@pytest.mark.parametrize("fate", ["changed", "gone"])
def test_run_resumes_with_its_initial_policy_even_if_the_file_changed(config, pool, fate):
    first = Policy(Spec(base_rate=1e-4), initial_weights(Spec(), 3))
    save_policy(config.out.parent / "first.safetensors", first)
    config = replace(config, begin=str(config.out.parent / "first.safetensors"))
    whole = train(replace(config, out=config.out / "whole"), pool)
    train(config, pool, until=5)
    if fate == "gone":
        Path(config.begin).unlink()
    else:
        save_policy(Path(config.begin), Policy(Spec(base_rate=9.0), initial_weights(Spec(), 4)))
    resumed = train(config, pool)
    for begun in (whole.initial, resumed.initial):
        assert torch.equal(begun, flatten(*first))
    assert torch.equal(resumed.outer.theta, whole.outer.theta)
    assert load_policy(config.out / "policy.safetensors").spec == resumed.spec == first.spec
    assert torch.equal(flatten(*load_policy(config.out / "initial.safetensors")), whole.initial)


def test_curriculum_sets_the_longest_episode_of_fresh_architectures(config, pool):
    config = replace(config, curriculum=4, renew_every=3, checkpoint_every=100)
    assert [round(config.longest_at(step)) for step in (0, 2, 4, 9)] == [20, 35, 60, 60]
    trainer, drawn = Trainer(config, [pool], Shard()), []

    def report(record):
        drawn.append((record.step, trainer.estimators[0].problem.longest))

    trainer.run(report)
    assert drawn == [(step, config.longest_at(step - 1)) for step in range(1, 7)]
    fresh = trainer._estimator(pool, trainer.generators[0])
    assert fresh.problem.longest == config.longest == 60


def test_outer_rate_warms_up_and_falls(config):
    config = replace(config, steps=40, warmup=4)
    outer, used = Outer(torch.zeros(3), 1, config), []
    for _ in range(40):
        outer.update(torch.ones(1, 3))
        used.append(outer.adam.param_groups[0]["lr"])
    assert used[:4] == pytest.approx([config.rate * k / 4 for k in range(1, 5)])
    assert used[3:] == sorted(used[3:], reverse=True)
    assert used[-1] == pytest.approx(config.rate / 10)


def test_exported_policy_is_the_average_over_steps(config, pool):
    thetas = []
    trainer = Trainer(config, [pool], Shard())
    trainer.run(lambda record: thetas.append(trainer.outer.theta.detach().clone()))
    torch.testing.assert_close(trainer.outer.average, torch.stack(thetas).mean(0))
    assert not torch.equal(trainer.outer.average, thetas[-1])
    policy = load_policy(config.out / "policy.safetensors")
    assert torch.equal(flatten(policy.spec, policy.weights), trainer.outer.average)


def test_late_in_a_run_the_average_forgets_the_first_steps(config):
    outer = Outer(torch.zeros(1), 1, config)
    outer.step = 10_000
    outer.theta.data.fill_(1.0)
    outer.update(torch.zeros(1, 1))
    assert outer.average.item() == pytest.approx(1 - Outer.AVERAGE_DECAY)


@pytest.mark.parametrize("meta_loss, name", [("area", "distance"), ("time", "spent")])
def test_costs_follow_the_meta_loss(config, pool, meta_loss, name):
    trainer = Trainer(replace(config, meta_loss=meta_loss), [pool], Shard())
    problem = trainer.estimators[0].problem
    costs = problem.run(trainer.initial.expand(4, -1))
    assert (costs > 0).all()
    torch.testing.assert_close(costs, getattr(problem.particles, name))


def test_warm_start_logs_the_same_costs_as_later_steps(config, pool):
    trainer = Trainer(replace(config, warm_start=1), [pool], Shard())
    (unroll,), before = trainer._present_estimators(), trainer.estimators[0].problem.costs().clone()
    unroll.problem.restart_finished = lambda: None
    estimate = unroll.estimate(trainer.initial)
    assert not before.any() and (estimate.losses > 0).all()
    expected = unroll.problem.costs()[: config.pairs, None]
    torch.testing.assert_close(estimate.losses, expected)


def test_scores_use_ordinary_targets_on_held_out_variants(config, monkeypatch):
    hard, draw = [], Pool.draw

    def watched(self, *arguments, **settings):
        hard.append(settings.get("hard"))
        return draw(self, *arguments, **settings)

    monkeypatch.setattr(Pool, "draw", watched)
    measured = Evaluation(config, Spec(), Sample(1, 2, 7_000), torch.device("cpu"), Shard())
    measured.scores(flatten(Spec(), initial_weights(Spec(), 0)))
    assert hard == [0.0]
    seeds = [LARGEST_SEED, COMPARISON.seed, COMPARISON.seed + LARGEST_SEED, SCORING.seed]
    assert seeds == sorted(set(seeds))


def test_particle_without_a_finite_gradient_does_not_affect_the_unroll(config, pool):
    trainer = Trainer(replace(config, estimator="unroll"), [pool], Shard())
    problem = trainer.estimators[0].problem
    weight = problem.particles.carry.buffers.weight
    weight[0], weight[2] = math.nan, math.nan  # both particles of the first pair
    found = trainer.estimators[0].estimate(trainer.initial)
    assert torch.isfinite(found.gradient).all() and found.gradient.any()


def save_as_two(folder, step, whole):
    """Save a checkpoint by two processes with half of the pairs each; return what each returned."""

    def save(shard):
        own = [[shard.take(t) for t in estimator.state()] for estimator in whole.estimators]
        checkpoint.save(folder, step, whole.outer.state(), own, whole.config, shard, whole.spec)

    return side_by_side(2, save)


@pytest.mark.parametrize("size", [1, 2, 4])
def test_checkpoint_of_two_processes_resumes_on_any_number(config, pool, size):
    config, folder = replace(config, groups=2, pairs=4, steps=1), config.out / "split"
    whole = train(config, pool)
    assert save_as_two(folder, 9, whole) == [None, None]
    for rank, found in enumerate(side_by_side(size, lambda own: load_latest(folder, own))):
        for group, estimator in zip(found.particles, whole.estimators, strict=True):
            for own, every in zip(group, estimator.state(), strict=True):
                assert torch.equal(own, Shard(rank, size).take(every))


def test_each_process_checks_its_files_and_all_report_the_fault(config, pool, monkeypatch):
    whole, folder, read = train(config, pool), config.out / "split", []
    save_as_two(folder, 9, whole)
    save_as_two(folder, 10, whole)
    file = folder / "000010" / "particles-0000.safetensors"
    file.write_bytes(file.read_bytes()[:-1] + b"?")
    digest = checkpoint._sha256
    monkeypatch.setattr(checkpoint, "_sha256", lambda path: read.append(path) or digest(path))
    with pytest.warns(RuntimeWarning, match="found it damaged: going on from"):
        found = side_by_side(2, lambda shard: load_latest(folder, shard))
    assert [each.manifest["step"] for each in found] == [9, 9]
    assert sorted(path.name for path in read if path.parent == file.parent) == [
        "outer.safetensors",
        "particles-0000.safetensors",
        "particles-0001.safetensors",
    ]
    shutil.rmtree(folder / "000009")
    first, second = side_by_side(2, lambda shard: load_latest(folder, shard))
    assert isinstance(first, CheckpointError) and "another process" in str(first)
    assert isinstance(second, CheckpointError) and "particles-0000.safetensors: mis" in str(second)


def test_loaded_tensors_outlive_their_files(config, pool):
    whole = train(config, pool)
    folder = config.out / "checkpoints"
    found = load_latest(folder, Shard())
    for file in folder.glob("*/*.safetensors"):
        with file.open("r+b") as opened:
            opened.write(bytes(file.stat().st_size))
    shutil.rmtree(folder)
    for name, value in whole.outer.state().items():
        assert torch.equal(found.outer[name], value), name
    for a, b in zip(found.particles[0], whole.estimators[0].state(), strict=True):
        assert torch.equal(a, b)


def test_more_processes_than_pairs_are_refused_when_resuming(config, pool):
    train(config, pool)
    for refusal in side_by_side(2 * config.pairs, lambda shard: find_start(config, shard)):
        assert isinstance(refusal, ConfigError) and "divide" in str(refusal)


def test_two_checkpoints_are_kept_and_other_folders_ignored(config, pool):
    config = replace(config, checkpoint_every=2, steps=6)
    train(config, pool, until=3)
    folder, others = config.out / "checkpoints", ("000002.bak", "000002 x", ".partial-000009")
    for name in others:
        shutil.copytree(folder / "000002", folder / name)
    assert Trainer(config, [pool], Shard()).outer.step == 2
    train(config, pool)
    assert {path.name for path in folder.iterdir()} == {"000004", "000006", *others}


def test_each_checkpoint_is_written_once(config, pool, monkeypatch):
    saved, save = [], checkpoint.save

    def counted(folder, step, *rest):
        saved.append(step)
        save(folder, step, *rest)

    monkeypatch.setattr(checkpoint, "save", counted)
    config = replace(config, checkpoint_every=2, steps=5)
    train(config, pool)
    assert saved == [2, 4, 5]
    (config.out / "policy.safetensors").unlink()
    train(config, pool)  # resumes a finished run
    assert saved == [2, 4, 5] and (config.out / "policy.safetensors").exists()


def test_folder_unseen_by_another_process_takes_no_checkpoint(config, pool):
    """The folder is local to each machine, so the first process wrote its part elsewhere."""
    whole = train(config, pool)
    part = [whole.estimators[0].state()]

    def save(shard):
        folder = config.out / f"machine {shard.rank}"
        checkpoint.save(folder, 9, whole.outer.state(), part, config, shard, whole.spec)

    for refusal in side_by_side(2, save):
        assert isinstance(refusal, OSError) and "not all processes see it" in str(refusal)
    assert not list(config.out.glob("machine*/[0-9]*"))


@pytest.mark.parametrize("lacking", [[3], [6], [3, 6]])
def test_processes_that_see_different_checkpoints_stop(config, pool, lacking):
    train(config, pool)
    folders = [config.out / "checkpoints", config.out / "of another machine"]
    shutil.copytree(*folders)
    for step in lacking:
        shutil.rmtree(folders[1] / f"{step:06d}")
    for refusal in side_by_side(2, lambda shard: load_latest(folders[shard.rank], shard)):
        assert isinstance(refusal, CheckpointError)
        assert "processes see different checkpoints" in str(refusal)


DAMAGES = {
    "truncated tensors": ("outer.safetensors", lambda text: text[:-10]),
    "truncated manifest": ("manifest.json", lambda text: text[:-10]),
    "another step": ("manifest.json", lambda text: text.replace(b'"step": 6', b'"step": 7')),
    "no object": ("manifest.json", lambda text: b"[]"),
    "no files": (
        "manifest.json",
        lambda text: json.dumps({"version": checkpoint.VERSION}).encode(),
    ),
}


@pytest.mark.parametrize("name, damage", DAMAGES.values(), ids=DAMAGES)
def test_damaged_checkpoint_falls_back_to_the_one_before(config, pool, name, damage):
    train(config, pool)
    file = config.out / "checkpoints" / "000006" / name
    before = file.read_bytes()
    file.write_bytes(damage(before))
    assert file.read_bytes() != before
    with pytest.warns(RuntimeWarning, match="(damaged|unreadable).*: going on from .*000003"):
        assert Trainer(config, [pool], Shard()).outer.step == 3


def test_no_sound_checkpoint_is_an_error_that_names_the_file(config, pool):
    train(config, pool)
    for file in (config.out / "checkpoints").glob("*/outer.safetensors"):
        file.write_bytes(b"")
    with pytest.raises(CheckpointError, match=r"outer\.safetensors: missing or damaged"):
        Trainer(config, [pool], Shard())


def test_newer_checkpoints_are_not_overwritten(config, pool):
    train(config, pool)
    newest = config.out / "checkpoints" / "000006" / "manifest.json"
    newest.write_text(json.dumps({**json.loads(newest.read_text()), "version": 99}))
    with pytest.raises(CheckpointError, match="format version 99.*give another --out"):
        Trainer(config, [pool], Shard())


@pytest.mark.parametrize("every, is_refused", [(0, False), (1, True), (2, True), (3, False)])
def test_architectures_outlive_the_longest_episode(config, every, is_refused):
    """With two groups and truncations of 10 steps, each lives for 20 times `renew_every` steps."""
    config = replace(config, groups=2, renew_every=every)
    if not is_refused:
        return config.check()
    with pytest.raises(ConfigError, match=f"renew_every is {every}: .* {20 * every} inner steps"):
        config.check()


def test_backpropagation_refuses_gradient_augmentations(config):
    for changes in ({"estimator": "unroll"}, {"warm_start": 1}):
        with pytest.raises(ConfigError, match="augment.*--warm-start 0"):
            replace(config, augment=True, **changes).check()
    replace(config, augment=True).check()


def test_other_settings_do_not_overwrite_a_run(config, pool):
    train(config, pool)
    with pytest.raises(ConfigError, match="other settings .sigma."):
        Trainer(replace(config, sigma=0.5), [pool], Shard())


def test_folder_in_use_by_another_process_is_refused(config, monkeypatch):
    monkeypatch.setattr(command, "RELEASED", 0.1)
    config.out.mkdir()
    with (
        alone_in(config.out, Shard()),
        pytest.raises(OSError, match="another process writes there"),
    ):
        command._run(config)
    assert [path.name for path in config.out.iterdir()] == [".lock"]


def test_run_that_waited_resumes_from_the_newest_checkpoint(config, pool, monkeypatch):
    """Otherwise it would repeat and overwrite the other run's steps."""
    begun = []
    monkeypatch.setattr(command, "build_pools", lambda *_: [pool])
    monkeypatch.setattr(command, "_train", lambda config, trainer, *_: begun.append(trainer))

    @contextlib.contextmanager
    def wait(*_):
        train(config, pool)
        yield

    monkeypatch.setattr(command, "alone_in", wait)
    command._run(config)
    assert begun[0].outer.step == config.steps


def fault_of(capsys, monkeypatch, *arguments):
    """Return the single line with which the command ends."""
    monkeypatch.setattr(sys, "argv", ["metalearn", *arguments])
    with pytest.raises(SystemExit) as ended:
        command.main()
    errors = capsys.readouterr().err
    assert ended.value.code == 2 and errors.startswith("error: ") and errors.count("\n") == 1
    return errors


def test_disk_full_is_one_line_and_keeps_the_last_checkpoint(config, pool, monkeypatch, capsys):
    """The policy's weights fit, the particles don't: the kernel refuses to write them."""
    save, limits = checkpoint.save, resource.getrlimit(resource.RLIMIT_FSIZE)

    def limited(folder, *arguments):
        save(folder, *arguments)
        size = max(path.stat().st_size for path in folder.glob("*/*.safetensors"))
        resource.setrlimit(resource.RLIMIT_FSIZE, (size // 2, limits[1]))

    monkeypatch.setattr(checkpoint, "save", limited)
    monkeypatch.setattr(command, "build_pools", lambda *_: [pool])
    settings = "--families mlp --groups 1 --pairs 2 --truncation 10 --shortest 20 --longest 60"
    settings += " --steps 6 --checkpoint-every 3 --evaluate-every 0 --out"
    try:
        fault = fault_of(capsys, monkeypatch, *settings.split(), str(config.out))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert "File too large" in fault
    assert load_latest(config.out / "checkpoints", Shard()).manifest["step"] == 3


def test_non_finite_meta_gradient_is_left_out(config):
    outer = Outer(torch.zeros(3), 2, config)
    gradients = torch.tensor([[1.0, 1.0, 1.0], [float("nan"), 0.0, 0.0]])
    outer.update(gradients)
    assert torch.isfinite(outer.theta).all() and (outer.theta < 0).all()
    outer.update(torch.full((2, 3), float("inf")))
    assert torch.isfinite(outer.theta).all()


def test_only_noisy_groups_are_scaled_to_the_median(config):
    config = replace(config, clip=10.0)
    outer = Outer(torch.zeros(3), 3, config)
    for _ in range(200):
        outer.update(torch.diag(torch.tensor([100.0, 1.0, 0.01])))
    torch.testing.assert_close(
        outer.theta.grad, torch.tensor([1.0, 1.0, 0.01]) / 3, rtol=1e-4, atol=0
    )


def test_outlier_is_bounded_by_its_groups_usual_norm(config):
    config = replace(config, clip=2.0)
    outer = Outer(torch.zeros(2), 2, config)
    for _ in range(200):
        outer.update(torch.eye(2))
    outer.update(torch.diag(torch.tensor([1000.0, 1.0])))
    # The mean of both groups, the outlier cut to twice the usual norm at the other group's scale.
    torch.testing.assert_close(outer.theta.grad, torch.tensor([2.0, 1.0]) / 2, rtol=1e-4, atol=0)
    # It enters the usual norm as three times that, so later gradients keep most of their weight.
    outer.update(torch.eye(2))
    usual = ((0.95 * (0.95 + 0.05 * 3**2)) + 0.05) ** 0.5
    expected = torch.tensor([1 / usual, 1.0]) / 2
    torch.testing.assert_close(outer.theta.grad, expected, rtol=1e-4, atol=0)


def test_group_whose_first_estimate_is_zero_counts_later(config):
    outer = Outer(torch.zeros(2), 2, config)
    outer.update(torch.diag(torch.tensor([0.0, 1.0])))
    outer.update(torch.eye(2))
    assert outer.squares.min() > 0 and outer.theta.grad.min() > 0.1


def test_log_picture_and_scalars_are_written(config, pool):
    trainer = Trainer(config, [pool], Shard())
    with Reporter(config, 0, ["mlp"]) as reporter:
        trainer.run(reporter)
    entries = read_log(config.out / "log.jsonl")
    assert [e["step"] for e in entries] == list(range(1, 7))
    assert all(e["inner_steps"] == 40 for e in entries)
    assert any(e["norm"][0] > 0 for e in entries) and any(e["ended"] for e in entries)
    plot_log(entries, config.out / "meta_loss.png")
    assert (config.out / "meta_loss.png").stat().st_size > 5000
    assert list((config.out / "tensorboard").iterdir())


def test_log_drops_steps_that_the_resumed_run_repeats(config):
    config.out.mkdir()
    path = config.out / "log.jsonl"
    path.write_text("".join(json.dumps({"step": s}) + "\n" for s in range(1, 6)) + '{"st')
    with Reporter(config, 3, []):
        pass
    assert [e["step"] for e in read_log(path)] == [1, 2, 3]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--families", "resnext"], "families: resnext; known are"),
        (["--pairs", "0"], "pairs is 0"),
        (["--truncation", "7"], "truncation 7: give a multiple of 5"),
        (["--rate", "inf"], "rate is inf: give a positive number"),
        (["--seed", str(10**20)], f"seed is {10**20}: give 0 to"),
        (["--warm-start", "-1"], "warm_start is -1: give 0 or more"),
        (["--begin", "nowhere.safetensors"], "nowhere.safetensors"),
        (["--shortest", "90", "--longest", "50"], "need 1 <= shortest <= longest"),
    ],
)
def test_bad_settings_give_one_line_and_leave_nothing(
    tmp_path, monkeypatch, capsys, arguments, message
):
    monkeypatch.setattr(command, "build_pools", lambda *_: pytest.fail("found too late"))
    out = tmp_path / "run"
    assert message in fault_of(capsys, monkeypatch, "--out", str(out), *arguments)
    assert not out.exists()


@pytest.mark.parametrize("count, rank, is_there", [(0, 0, False), (2, 1, True), (2, 2, False)])
def test_each_process_needs_its_own_gpu(monkeypatch, count, rank, is_there):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: count)
    monkeypatch.setenv("LOCAL_RANK", str(rank))
    if is_there:
        assert join("cuda")[1] == torch.device("cuda")
    else:
        with pytest.raises(ConfigError, match=f"torch finds {count}: give --device cpu"):
            join("cuda")


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"TORCHELASTIC_MAX_RESTARTS": "0"},
        {"TORCHELASTIC_USE_AGENT_STORE": "False"},
        {"GROUP_WORLD_SIZE": "1"},
    ],
)
def test_workers_that_could_not_be_restarted_refuse_to_start(monkeypatch, changes):
    """Any single change makes torchrun's settings harmless."""
    settings = {"WORLD_SIZE": "2", "GROUP_WORLD_SIZE": "2"}
    settings |= {"TORCHELASTIC_USE_AGENT_STORE": "True", "TORCHELASTIC_MAX_RESTARTS": "3"}
    for name, value in (settings | changes).items():
        monkeypatch.setenv(name, value)
    if changes:
        return _check_store()
    with pytest.raises(ConfigError, match="export TORCH_DISABLE_SHARE_RDZV_TCP_STORE=1"):
        join("cpu")


def test_families_named_twice_have_separate_groups(config):
    names = _names(replace(config, families=("mlp", "cnn", "mlp"), groups=2))
    assert names == ["mlp.0", "mlp.1", "cnn.0", "cnn.1", "mlp.2", "mlp.3"]
