"""Particles behave like single runs, and their costs are the challenge's score."""

import math

import pytest
import torch

from metalearn.episodes import LIMIT
from metalearn.inner import InnerProblem
from metalearn.rollout import FARTHEST, Rollout
from metalearn.shard import Shard
from metalearn.tree import leaves
from metalearn.validate import validate
from policy.driver.learner import Learner
from policy.rule.spec import Spec
from policy.rule.weights import flatten, initial_weights
from tasks import Batch, build_task

SPEC = Spec()


def talking_weights():
    weights = initial_weights(SPEC, 0)
    weights["head.weight"].uniform_(-0.3, 0.3, generator=torch.Generator().manual_seed(1))
    return weights


def shared(weights, count):
    return {name: w.expand(count, *w.shape) for name, w in weights.items()}


def draw(pool, count, seed=0):
    return pool.draw(count, torch.Generator().manual_seed(seed))


def samples(pool, count, generator):
    """Return the indices of the training samples of one call of `advance`."""
    shape = (SPEC.stride, count, pool.task.batch_size)
    return torch.randint(pool.task.train_size, shape, generator=generator)


def test_particle_equals_a_single_run(pool):
    """Weights agree after twenty steps and two decisions.

    Both have the same variant, batches and policy.
    """
    rollout, weights = Rollout(pool, SPEC), talking_weights()
    episode = draw(pool, 3)
    particles = rollout.begin(episode)
    generator = torch.Generator().manual_seed(5)
    which = int(episode.which[1])
    task = build_task(pool.task.variants[which])
    learner = Learner(task, SPEC, weights)
    for _ in range(2):
        indices = samples(pool, 3, generator)
        for index in indices:
            both = pool.task.batch(episode.which, index)
            learner.step(*task.batch_loss_and_gradient(Batch(both.x[1], both.y[1])))
        rollout.advance(particles, shared(weights, 3), indices)
    for single, batched in zip(
        learner.live, rollout.layout.unpack(particles.carry.buffers.weight), strict=True
    ):
        torch.testing.assert_close(single, batched[1], rtol=1e-3, atol=1e-4)


def test_chunked_particles_equal_unchunked_ones(pool, monkeypatch):
    rollout, together, calls = Rollout(pool, SPEC), draw(pool, 5), []
    generator = torch.Generator().manual_seed(6)
    weights = {
        name: w + 0.1 * torch.randn(5, *w.shape, generator=generator)
        for name, w in talking_weights().items()
    }
    indices = samples(pool, 5, generator)
    whole, parts = rollout.begin(together), rollout.begin(together)
    rollout.advance(whole, weights, indices)
    monkeypatch.setattr("metalearn.rollout.CACHED_WEIGHTS", 1)
    monkeypatch.setattr("metalearn.rollout.LEAST_TOGETHER", 4)
    test = pool.task.test
    monkeypatch.setattr(pool.task, "test", lambda *args: calls.append(len(args[1])) or test(*args))
    rollout.advance(parts, weights, indices)
    assert calls == [3, 2], "as equal as may be"
    for one, other in zip(leaves(whole), leaves(parts), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-5)


def test_cost_counts_baseline_times_until_the_crossing(pool):
    episode = draw(pool, 8)
    rollout = Rollout(pool, SPEC)
    particles = rollout.begin(episode)
    generator = torch.Generator().manual_seed(0)
    history = [particles.tested.clone()]
    while not particles.finished().all():
        indices = samples(pool, 8, generator)
        rollout.advance(particles, shared(initial_weights(SPEC, 0), 8), indices)
        history.append(particles.tested.clone())
    assert particles.reached.any(), "no particle reached its target: nothing was checked"
    for p in range(8):
        last = math.ceil(LIMIT * episode.baseline[p].item() / SPEC.stride)
        losses, target = [h[p].item() for h in history[: last + 1]], episode.target[p].item()
        crossing = next((k for k, loss in enumerate(losses) if loss < target), None)
        if crossing is None:
            steps = SPEC.stride * (len(losses) - 1)
        else:
            a, b = losses[crossing - 1], losses[crossing]
            steps = SPEC.stride * (crossing - 1 + min(max((a - target) / (a - b), 0), 1))
        expected = steps / episode.baseline[p].item()
        assert particles.spent[p].item() == pytest.approx(expected, rel=1e-4)


def test_restart_resets_the_controller_and_only_that_particle(pool):
    rollout, weights = Rollout(pool, SPEC), shared(talking_weights(), 2)
    particles = rollout.begin(draw(pool, 2))
    indices = torch.zeros(SPEC.stride, 2, pool.task.batch_size, dtype=torch.long)
    rollout.advance(particles, weights, indices)
    assert particles.carry.memory.hidden.abs().sum() > 0
    before = [t.clone() for t in leaves(particles)]
    rollout.restart(particles, torch.tensor([True, False]), draw(pool, 2, seed=1))
    fresh = leaves(rollout.begin(draw(pool, 2, seed=1)))
    for now, old, new in zip(leaves(particles), before, fresh, strict=True):
        assert torch.equal(now[0], new[0]) and torch.equal(now[1], old[1])


def test_pair_restarts_when_both_are_done(pool):
    problem = InnerProblem(pool, SPEC, 2, 10, Shard(), torch.Generator().manual_seed(0))
    reached = problem.particles.reached
    reached[0] = True
    assert problem.restart_finished().tolist() == [False, False] and reached[0]
    reached[2] = True
    assert problem.restart_finished().tolist() == [True, False] and not reached.any()


def test_distance_is_the_root_of_the_relative_gap(pool):
    rollout, episode = Rollout(pool, SPEC), draw(pool, 4)
    gap = pool.curve[episode.which, 0] - episode.target
    parts = torch.tensor([-1.0, 0.25, 9.0, math.nan])
    found = rollout._distance(episode, episode.target + parts * gap)
    torch.testing.assert_close(found, torch.tensor([0.0, 0.5, 2.0, 2.0]))


@pytest.mark.parametrize("meta_loss, most", [("time", LIMIT), ("area", FARTHEST * LIMIT)])
def test_diverged_particle_is_a_miss_with_a_finite_cost(pool, meta_loss, most):
    generator = torch.Generator().manual_seed(0)
    problem = InnerProblem(pool, SPEC, 2, 10, Shard(), generator, meta_loss=meta_loss)
    problem.particles.carry.buffers.weight[0] = math.nan
    theta = flatten(SPEC, initial_weights(SPEC, 0)).expand(4, -1)
    total = torch.zeros(4)
    diverged = []
    for _ in range(int(LIMIT * 60 / 10) + 1):
        total += problem.run(theta)
        diverged.append(int(problem.diverged))
        if problem.restart_finished()[0]:
            break
    assert diverged[0] == 1 and sum(diverged) == 1, "counted once"
    assert torch.isfinite(total).all()
    assert total[0].item() == pytest.approx(most), "a diverged particle costs as much as a miss"
    for tensor in leaves(problem.particles):
        assert torch.isfinite(tensor[0].float()).all(), "the restart kept something of it"


def test_validation_scores_a_policy_that_never_moves_as_a_miss(pool):
    weights = initial_weights(SPEC, 0)
    weights["head.bias"] = torch.tensor([-7.0])
    score = validate(pool, SPEC, flatten(SPEC, weights), episodes=6, seed=0)
    assert score.solved == 0 and score.speedup <= 1 / LIMIT + 1e-6


def test_higher_rates_score_better_than_tiny_ones(pool):
    def score(bias):
        weights = initial_weights(SPEC, 0)
        weights["head.bias"] = torch.tensor([bias])
        return validate(pool, SPEC, flatten(SPEC, weights), episodes=32, seed=0)

    fast, slow = score(0.0), score(-1.0)
    assert fast.speedup - slow.speedup > 4 * (fast.error + slow.error)
