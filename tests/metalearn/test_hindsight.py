"""Learning in hindsight: arms, surfaces, the fit, and the command line."""

import dataclasses
import math
import sys
from functools import partial

import pytest
import torch

from metalearn.config import ConfigError
from metalearn.hindsight import __main__ as command
from metalearn.hindsight import collect as collecting
from metalearn.hindsight import course as course_module
from metalearn.hindsight.budget import FLOOR, what_is_left
from metalearn.hindsight.collect import collect
from metalearn.hindsight.course import Course, teach
from metalearn.hindsight.fit import Lesson, fit, grade, mean_grade, replay, study
from metalearn.hindsight.lessons import Group, Lessons, load_group, save_group
from metalearn.hindsight.paths import PATHS, SPREAD, basis, depths, draw_arms
from metalearn.hindsight.surface import Surface, costs, fit_surfaces
from metalearn.prior import first_policy
from policy.checkpoint import load_policy, save_policy
from policy.rule.weights import flatten
from tasks import TRAINING_FAMILIES
from tasks.edges import SIZES as AT_THE_EDGE


@pytest.fixture(scope="module")
def policy():
    return first_policy(0)


@pytest.fixture(scope="module")
def lessons(pool, policy):
    return collect(pool, policy, 8, torch.Generator().manual_seed(1))


def test_arms_are_spread_around_a_neutral_first_one():
    arms = draw_arms(256, seed=3)
    assert (arms[0] == 0).all()
    torch.testing.assert_close(arms[1:].std(0), torch.tensor(SPREAD), rtol=0.1, atol=0)
    assert arms.mean(0).abs().max() < 0.05


def test_path_has_height_and_turns_in_time_and_depth():
    step, baseline = torch.tensor([[0.0], [19.0], [10_000.0]]), torch.tensor([200.0])
    found = basis(step.expand(3, 1), baseline, depths(3))[:, 0]
    assert (found[..., 0] == 1).all()
    assert (found[0, :, 1] < 0).all() and (found[1, :, 1] == 0).all() and (found[2, :, 1] > 0).all()
    assert found[0, :, 2].tolist() == [-1, 0, 1]


def _made_up(cost, arms, episodes=6):
    """Return lessons with the given costs, `[E, A]`."""
    half = (cost.exp() - 0.01) / 2
    empty = torch.zeros(0)
    reached = torch.ones_like(cost, dtype=torch.bool)
    return Lessons(arms, half, half, reached, torch.ones(episodes), empty, empty, empty, empty)


def test_surface_has_its_minimum_at_the_cheapest_arms():
    arms, best = draw_arms(24, seed=0), torch.tensor([0.5, -0.3, 0.2])
    z = (arms - best) / torch.tensor(SPREAD)
    lessons = _made_up(-3 + 0.1 * z.square().sum(1).expand(6, -1), arms)
    surface, *_ = fit_surfaces([lessons] * 8)
    bottom = torch.linalg.solve(surface.curvature, -surface.slope) * torch.tensor(SPREAD)
    torch.testing.assert_close(bottom, best.expand(6, -1), atol=0.15, rtol=0)


def test_luck_flattens_surfaces():
    arms, random = draw_arms(24, seed=0), torch.Generator().manual_seed(0)
    told = [_made_up(-3 + torch.randn(6, 24, generator=random) / 4, arms) for _ in range(8)]
    slopes = torch.cat([surface.slope for surface in fit_surfaces(told)])
    assert slopes.abs().mean() < 0.05


def test_stopped_arm_has_the_largest_cost():
    arms = draw_arms(4, seed=0)
    lessons = _made_up(torch.tensor([[-3.0, -2.9, -2.8, -2.7]]), arms, episodes=1)
    stopped = torch.tensor([[True, True, True, False]])
    cost = costs(lessons._replace(reached=stopped))
    assert cost.argmax() == 3 and cost[0, 3] == pytest.approx(-3.0 + 1.5, abs=1e-5)


def test_lessons_hold_the_controllers_output(lessons, policy):
    again = replay(policy.spec, policy.weights, lessons)
    is_there = torch.arange(len(again))[:, None, None] < lessons.length
    difference = (again - lessons.output.float()).abs()[is_there]
    assert difference.max() < 0.02  # features are stored in float16
    assert lessons.output.float().abs()[is_there].max() > 0.1


def test_all_arms_of_an_episode_have_the_same_batches(pool, policy, monkeypatch):
    monkeypatch.setattr(collecting, "draw_arms", lambda count, seed: torch.zeros(count, PATHS))
    found = collect(pool, policy, 4, torch.Generator().manual_seed(1))
    torch.testing.assert_close(found.time, found.time[:, :1].expand(4, 4))
    assert len({round(t, 4) for t in found.time[:, 0].tolist()}) > 1


def test_higher_arms_have_higher_rates(lessons):
    """The second decision sees the log size of a step relative to the weights."""
    size = lessons.features[1, ..., lessons.is_matrix, 6].float().mean(-1)
    height = lessons.arms[:, 0].expand_as(size)
    is_there = lessons.length > 1
    assert torch.corrcoef(torch.stack([size[is_there], height[is_there]]))[0, 1] > 0.7


def test_runs_of_fixed_length_end_together_and_have_no_target(pool, policy):
    found = collect(pool, policy, 6, torch.Generator().manual_seed(1), is_fixed=True)
    decisions = (found.baseline / policy.spec.stride).ceil()
    assert torch.equal(found.length, decisions[:, None].expand(4, 6).long())
    assert (found.time > 0).all() and found.reached.all() and (found.area == 0).all()
    assert (found.time.std(1) > 1e-4).all()


def test_remaining_loss_is_measured_at_several_times_before_the_end():
    falls = torch.linspace(1.0, 0.0, 81)[1:, None, None]  # from 1 to 0 in 80 decisions
    curve = torch.cat([falls, falls.clamp(min=0.5), torch.full_like(falls, torch.nan)], -1)
    curve = torch.cat([curve, torch.full_like(curve, -9.0)])  # after the end
    left = what_is_left(curve, torch.ones(1), torch.tensor([80.0]))
    whole = 1 + FLOOR
    ends = [torch.arange(start + 1, end + 1) / 80 for start, end in ((8, 10), (16, 20), (32, 40))]
    ends.append(torch.arange(65, 81) / 80)
    mean = torch.stack([((1 - end + FLOOR) / whole).log().mean() for end in ends]).mean()
    assert left[0, 0] == pytest.approx(mean.exp().item(), rel=1e-4)
    assert left[0, 0] < left[0, 1] < 1 and left[0, 2] == pytest.approx(2.0)
    lucky = what_is_left(curve.flip(0), torch.ones(1), torch.tensor([80.0]))
    assert torch.isfinite(lucky).all()


def test_half_of_the_groups_of_every_family_have_a_fixed_length(tmp_path):
    course = Course(tmp_path)
    count = len(course.families)
    for family in range(count):
        fixed = [course.is_fixed(family + turn * count) for turn in range(8)]
        assert sum(fixed[::2]) == sum(fixed[1::2]) == 2  # augmented groups, and the others


def _flat(lessons, slope, curvature=1.0):
    episodes = len(lessons.baseline)
    return Lesson(
        lessons,
        Surface(
            torch.tensor(slope).expand(episodes, -1),
            curvature * torch.eye(PATHS).expand(episodes, -1, -1),
            torch.ones(episodes),
        ),
    )


def test_every_family_has_small_usual_and_edge_networks(tmp_path, monkeypatch):
    monkeypatch.setattr(course_module, "Pool", lambda variants, *_: variants)
    monkeypatch.setattr(course_module, "LARGEST", math.inf)
    drawn = []

    def told(name, draw, family, *rest, **keywords):
        drawn.append((family, name))
        return draw(family, *rest, **keywords)

    for name in ("sample_group", "sample_working_group", "sample_edge_group"):
        wrapped = partial(told, name, getattr(course_module, name))
        monkeypatch.setattr(course_module, name, wrapped)
    course = Course(tmp_path)
    for number in range(3 * len(course.families)):
        course_module.build(course, number)
    assert {family for family, name in drawn if name == "sample_edge_group"} == set(AT_THE_EDGE)
    for name in ("sample_group", "sample_working_group"):
        assert {family for family, own in drawn if own == name} == set(TRAINING_FAMILIES)


def test_collecting_policy_costs_nothing(lessons, policy):
    found = grade(policy.spec, policy.weights, _flat(lessons, [-1.0, 0.3, 0.0]))
    assert max(abs(value.item()) for value in found) < 0.02


def test_common_change_of_rates_is_a_path_and_not_astray(lessons, policy):
    """The head's bias shifts all rates, since outputs are the gain times the bias.

    A decision can only rise by a limited amount.
    """
    weights = dict(policy.weights)
    weights["head.bias"] = weights["head.bias"] - 0.4 / policy.spec.gain
    found = grade(policy.spec, weights, _flat(lessons, [1.0, 0.0, 0.0], 0.01))
    assert found.cost.item() == pytest.approx(-0.4 / SPREAD[0], rel=0.15)
    assert found.astray < 0.02


def test_fit_finds_the_minimum_of_the_surfaces(lessons, policy):
    lesson = _flat(lessons, [-0.5, 0.0, 0.0])
    theta = flatten(policy.spec, policy.weights)
    found = fit(policy.spec, theta, [lesson], [lesson], 60, 1e-2, 0, lambda *_: None)
    assert mean_grade(policy.spec, found, [lesson]).cost < 0.7 * -0.125  # the minimum is -0.125


def test_course_may_teach_the_linear_path_alone(lessons, policy, tmp_path):
    course = Course(tmp_path, linear=True, steps=2)
    save_group(course.lessons(0), Group("mlp", 0, lessons))
    taught = teach(course, 0, policy, lambda *_: None).weights
    changed = {name for name, weight in policy.weights.items() if (taught[name] != weight).any()}
    assert changed == {"skip.weight", "head.bias"}


def test_groups_round_trip_and_get_surfaces_in_order(lessons, tmp_path):
    group = Group("mlp", 7, lessons)
    save_group(tmp_path / "a", group)
    again = load_group(tmp_path / "a")
    assert again[:2] == group[:2]
    for one, other in zip(again.lessons, lessons, strict=True):
        assert torch.equal(one, other)
    half = lessons._replace(time=lessons.time * torch.linspace(0.1, 1, 8))
    told = study([group, Group("cnn", 8, half), group])
    assert torch.equal(told[0].surface.slope, told[2].surface.slope)
    assert not torch.allclose(told[0].surface.slope, told[1].surface.slope)


SMALL = ["--families", "mlp", "--groups", "6", "--arms", "4", "--steps", "2", "--shortest", "20"]
SMALL += ["--longest", "40"]


def _run(monkeypatch, *arguments):
    monkeypatch.setattr(sys, "argv", ["hindsight", *SMALL, *arguments])
    command.main()


def test_course_resumes_to_the_same_policy(monkeypatch, tmp_path, capsys):
    _run(monkeypatch, "--out", str(tmp_path))
    learned = load_policy(tmp_path / "policy.safetensors")
    first = first_policy(0)
    assert any(not torch.equal(learned.weights[n], first.weights[n]) for n in first.weights)
    (tmp_path / "round-2.safetensors").unlink()
    lost = sorted((tmp_path / "lessons").iterdir())[-1]
    before = load_group(lost)
    lost.unlink()
    _run(monkeypatch, "--out", str(tmp_path))
    again = load_policy(tmp_path / "policy.safetensors")
    for value, old in zip(load_group(lost).lessons, before.lessons, strict=True):
        assert torch.equal(value, old)
    for name, weight in learned.weights.items():
        assert torch.equal(again.weights[name], weight)
    with pytest.raises(SystemExit):
        _run(monkeypatch, "--out", str(tmp_path), "--seed", "1")
    assert "other settings" in capsys.readouterr().err


def test_taught_policy_is_blended_with_the_initial_one(monkeypatch, tmp_path):
    begin = tmp_path / "begin.safetensors"
    save_policy(begin, first_policy(3))
    out = tmp_path / "out"
    _run(monkeypatch, "--out", str(out), "--begin", str(begin), "--rounds", "1")
    last, blended = (load_policy(out / f"{name}.safetensors") for name in ("round-1", "policy"))
    for name, weight in first_policy(3).weights.items():
        assert torch.allclose(blended.weights[name], (weight + last.weights[name]) / 2)
    assert not torch.equal(blended.weights["skip.weight"], last.weights["skip.weight"])


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"groups": 1}, "groups"),
        ({"rounds": 2, "groups": 50_001}, "at most 100000"),
        ({"rate": float("nan")}, "rate"),
    ],
)
def test_invalid_settings_are_named(tmp_path, wrong, named):
    with pytest.raises(ValueError, match=named):
        dataclasses.replace(Course(tmp_path), **wrong).check()


@pytest.mark.parametrize("numbers", [(0, 1), (4,)])
def test_remaining_groups_judge_and_teach_if_one_kind_is_missing(
    lessons, policy, tmp_path, numbers
):
    """One group in five judges, but a group whose networks are too large leaves no lessons."""
    course = Course(tmp_path, groups=6, steps=2)
    for number in numbers:
        save_group(course.lessons(number), Group("mlp", number, lessons))
    taught = teach(course, 0, policy, lambda *_: None)
    assert any(not torch.equal(taught.weights[n], w) for n, w in policy.weights.items())


def test_course_without_lessons_is_refused(policy, tmp_path):
    with pytest.raises(ConfigError, match="groups is 60: none could be run"):
        teach(Course(tmp_path), 0, policy, print)
