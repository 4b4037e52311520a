"""Calibration on whole runs: an unbiased meta-gradient of the heights, and runs that go on."""

import json
import subprocess
import sys
from dataclasses import replace

import pytest
import torch

from benchmarks import fresh_races, policy_races
from checkpoints_to_source.report.results import policy_log
from metalearn import calibrate as module
from metalearn.alone import alone_in
from metalearn.calibrate import HEIGHTS, Calibration, calibrate, estimate, kind_of, raised
from metalearn.log import read_log
from metalearn.races import Race
from policy.checkpoint import Policy, PolicyError, load_policy, read_metadata, save_policy
from policy.rule.spec import Spec
from policy.rule.weights import initial_weights
from tasks import Variant

SPEC = Spec(hidden=2)
POLICY = Policy(SPEC, initial_weights(SPEC, 0))


@pytest.fixture
def config(tmp_path):
    path = tmp_path / "policy.safetensors"
    save_policy(path, POLICY, {"origin": "a test"})
    return Calibration(path, tmp_path / "run", steps=4, races=3, pairs=2, bound=1e9)


@pytest.fixture
def slope(monkeypatch):
    """Races whose cost is linear in the heights; returns the slope."""
    slope = torch.randn(HEIGHTS, generator=torch.Generator().manual_seed(1)) / HEIGHTS

    def cost(race, spec, weights):
        rows = weights["skip.weight"].mean(1)
        return 0.5 + float(torch.cat([rows, weights["head.bias"].mean()[None]]) @ slope)

    race = Race(Variant("mlp", "digits"), 1.0, 100)
    monkeypatch.setattr(module, "draw_race", lambda *arguments: race)
    monkeypatch.setattr(module, "relative_steps", cost)
    return slope


def test_heights_raise_the_rates_of_all_directions_alike():
    heights = torch.arange(float(HEIGHTS))
    higher = raised(POLICY.weights, heights)
    rows = higher["skip.weight"] - POLICY.weights["skip.weight"]
    assert torch.equal(rows, heights[:-1, None].expand_as(rows))
    assert torch.equal(higher["head.bias"] - POLICY.weights["head.bias"], heights[-1:].expand(3))
    assert higher["lstm.weight"] is POLICY.weights["lstm.weight"]


def test_the_estimate_is_the_slope(config, slope):
    gradient, costs = estimate(torch.zeros(HEIGHTS), POLICY, replace(config, races=400), 0, map)
    # Of a linear function, (e . a) e has mean a and, per entry, variance a_i^2 + |a|^2.
    deviation = ((slope**2 + slope.square().sum()) / len(costs)).sqrt()
    scores = (gradient - slope) / deviation
    assert len(costs) == 800
    assert scores.abs().max() < 4.5  # n = 26 entries: beyond by chance once in 5,600 such tests
    assert 0.3 < scores.square().mean() < 2.0


def test_a_pair_far_apart_counts_no_more_than_the_bound(config, slope):
    free, _ = estimate(torch.zeros(HEIGHTS), POLICY, config, 0, map)
    bounded, _ = estimate(torch.zeros(HEIGHTS), POLICY, replace(config, bound=1e-6), 0, map)
    assert 0 < bounded.norm() < 0.01 * free.norm()


def test_races_without_end_are_left_out(config, monkeypatch):
    monkeypatch.setattr(module, "draw_race", lambda *arguments: None)
    gradient, costs = estimate(torch.ones(HEIGHTS), POLICY, config, 0, map)
    assert not gradient.any() and costs == []


@pytest.mark.parametrize(
    "scarce, long, expected",
    [(3, 3, "slusl"), (3, 0, "suusu"), (0, 2, "ululu"), (1, 3, "sssss"), (0, 0, "uuuuu")],
)
def test_races_are_of_three_kinds(config, scarce, long, expected):
    settings = replace(config, scarce=scarce, long=long)
    assert "".join(kind_of(seed, settings)[0] for seed in range(5)) == expected


def test_each_outer_step_has_races_and_perturbations_of_its_own(config, slope, monkeypatch):
    raced, perturbed, of_steps = [], set(), []
    draw_race, perturbation = module.draw_race, module.perturbation

    def drawn(seed, *arguments):
        raced.append(seed)
        return draw_race(seed, *arguments)

    def noted(seed):
        perturbed.add(seed)
        return perturbation(seed)

    monkeypatch.setattr(module, "draw_race", drawn)
    monkeypatch.setattr(module, "perturbation", noted)

    def next_step(line):
        of_steps.append(perturbed.copy())
        perturbed.clear()

    calibrate(config, map, next_step)
    count = config.steps * config.races
    assert len(set(raced)) == len(raced) == count
    assert len(set().union(*of_steps)) == sum(map(len, of_steps)) == count * config.pairs


@pytest.mark.parametrize("races", [10, 20])
def test_no_seed_races_on_what_measures_policies(config, slope, monkeypatch, races):
    raced = set()
    monkeypatch.setattr(module, "draw_race", lambda seed, *arguments: raced.add(seed))
    for seed in range(12):
        settings = replace(config, seed=seed, races=races, steps=50)
        for step in (0, settings.steps - 1):
            estimate(torch.zeros(HEIGHTS), POLICY, settings, step, map)
    assert len(raced) == 12 * 2 * races
    measured = [range(seed, seed + 100_000) for seed in (fresh_races.SEED, policy_races.SEED)]
    assert not any(seed in known for seed in raced for known in measured)


def test_it_descends_and_leaves_the_lstm_alone(config, slope):
    calibrate(replace(config, steps=20, races=20), map)
    before, after = load_policy(config.policy), load_policy(config.out / "policy.safetensors")
    moved = (after.weights["skip.weight"] - before.weights["skip.weight"]).mean(1)
    assert moved @ slope[:-1] < 0
    for name in ("lstm.weight", "lstm.bias", "head.weight"):
        assert torch.equal(before.weights[name], after.weights[name])
    assert after.spec == SPEC
    metadata = read_metadata(config.out / "policy.safetensors")
    assert metadata["origin"] == "a test" and metadata["calibrated_steps"] == "20"
    assert json.loads(metadata["calibration"])["races"] == 20


def test_the_log_of_meta_training_goes_with_the_policy(config, slope):
    """A report of the calibrated policy shows it."""
    log = '{"step": 1, "ratio": 0.5, "inner_steps": 10}\n'
    config.policy.with_name("log.jsonl").write_text(log)
    calibrate(config, map)
    assert policy_log(config.out / "policy.safetensors") == [json.loads(log)]
    assert len(read_log(config.out / "calibration.jsonl")) == config.steps


def test_a_run_whose_log_had_another_name_keeps_it(config, slope):
    config.policy.with_name("log.jsonl").write_text('{"step": 1, "ratio": 1, "inner_steps": 1}\n')
    calibrate(replace(config, steps=2), map)
    (config.out / "calibration.jsonl").replace(config.out / "log.jsonl")
    calibrate(replace(config, steps=2), map)
    assert [line["step"] for line in read_log(config.out / "calibration.jsonl")] == [1, 2]
    assert len(policy_log(config.out / "policy.safetensors")) == 1


def test_an_interrupted_run_ends_as_if_undisturbed(config, slope):
    def interrupt(line):
        if line["step"] == 2:
            raise KeyboardInterrupt

    other = replace(config, out=config.out.with_name("undisturbed"))
    calibrate(other, map)
    with pytest.raises(KeyboardInterrupt):
        calibrate(config, map, interrupt)
    steps = []
    calibrate(config, map, lambda line: steps.append(line["step"]))
    assert steps == [3, 4]
    weights = [load_policy(c.out / "policy.safetensors").weights for c in (config, other)]
    assert all(torch.equal(weights[0][name], w) for name, w in weights[1].items())
    assert len((config.out / "calibration.jsonl").read_text().splitlines()) == 4


def test_a_run_that_ended_between_its_last_two_files_makes_the_policy(config, slope):
    calibrate(replace(config, steps=3), map)
    before = load_policy(config.out / "policy.safetensors").weights
    state = (config.out / "state.safetensors").read_bytes()
    (config.out / "policy.safetensors").unlink()
    calibrate(replace(config, steps=3), map)
    again = load_policy(config.out / "policy.safetensors").weights
    assert all(torch.equal(before[name], again[name]) for name in before)
    assert (config.out / "state.safetensors").read_bytes() == state


def test_a_folder_in_which_another_process_writes_is_refused(config, slope):
    config.out.mkdir()
    with alone_in(config.out), pytest.raises(OSError, match="another process writes there"):
        calibrate(config, map)
    calibrate(config, map)
    assert (config.out / "policy.safetensors").exists()


def test_a_line_of_a_step_that_was_not_saved_is_written_once(config, slope, monkeypatch):
    save = module._save

    def killed(outer, *arguments):
        if outer.step == 2:
            raise KeyboardInterrupt
        save(outer, *arguments)

    monkeypatch.setattr(module, "_save", killed)
    with pytest.raises(KeyboardInterrupt):
        calibrate(config, map)
    assert [line["step"] for line in read_log(config.out / "calibration.jsonl")] == [1, 2]
    monkeypatch.setattr(module, "_save", save)
    calibrate(config, map)
    assert [line["step"] for line in read_log(config.out / "calibration.jsonl")] == [1, 2, 3, 4]


def test_a_folder_with_a_policy_of_another_run_is_let_be(config, slope):
    folder = config.policy.parent
    (folder / "log.jsonl").write_text('{"step": 1}\n')
    before = config.policy.read_bytes()
    with pytest.raises(PolicyError, match="another run: give another --out"):
        calibrate(replace(config, out=folder), map)
    assert config.policy.read_bytes() == before
    assert (folder / "log.jsonl").read_text() == '{"step": 1}\n'


def test_another_policy_is_refused(config, slope):
    calibrate(config, map)
    save_policy(config.policy, Policy(SPEC, initial_weights(SPEC, 1)))
    with pytest.raises(PolicyError, match="another policy"):
        calibrate(config, map)


def test_other_settings_and_damage_are_refused(config, slope):
    calibrate(config, map)
    with pytest.raises(PolicyError, match="other settings"):
        calibrate(replace(config, sigma=0.1), map)
    (config.out / "state.safetensors").write_bytes(b"broken")
    with pytest.raises(PolicyError, match="damaged"):
        calibrate(config, map)


def test_bad_input_is_one_line(tmp_path, config):
    for arguments in (
        (tmp_path / "none",),
        (config.policy, "--races", "0"),
        (config.policy, "--scarce", "-1"),
        (config.policy, "--long", "1"),
        (config.policy, "--seed", "-1"),
    ):
        command = [sys.executable, "-m", "metalearn.calibrate", *map(str, arguments)]
        command += ["--out", str(tmp_path / "out")]
        done = subprocess.run(command, capture_output=True, text=True, timeout=100)
        assert done.returncode == 2 and done.stderr.startswith("error: ")
        assert done.stderr.count("\n") == 1
