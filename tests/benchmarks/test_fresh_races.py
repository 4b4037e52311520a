"""Whole runs of a policy and of constant rates on fresh races, and their table."""

from benchmarks import fresh_races
from benchmarks.fresh_races import CONSTANT, LEARNED, measure, table
from benchmarks.origin import stamp
from checkpoints_to_source.train_file import HAND_SET
from metalearn.races import Race
from policy.checkpoint import Policy
from tasks import Variant


def test_both_rules_run_a_race_to_its_target(monkeypatch):
    race = Race(Variant("mlp", "digits", {"width": 16, "depth": 1}, {}, 32, 1), 1.8, 60)
    monkeypatch.setattr(fresh_races, "draw_race", lambda seed, kind: race if seed == 3 else None)
    policies = {LEARNED: Policy(HAND_SET, None), CONSTANT: Policy(HAND_SET, None)}
    (row,) = measure((3, "long", policies))
    assert (row["seed"], row["family"], row["kind"]) == (3, "mlp", "long")
    assert all(row[name]["reached"] and row[name]["steps"] > 0 for name in policies)
    assert measure((4, "long", policies)) == []


def test_table_has_ratios_of_each_family_and_of_all():
    def row(family, kind, factor, reached=True):
        run = {"seconds": 1.0, "steps": 10, "reached": True}
        constant = {"seconds": factor, "steps": 10, "reached": reached}
        return {"family": family, "kind": kind, LEARNED: run, CONSTANT: constant}

    rows = [row("a", "usual", 2.0), row("a", "usual", 2.0), row("b", "usual", 0.5, False)]
    text = table({"rows": [*rows, row("b", "scarce", 3.0)], **stamp("cpu", 0)})
    assert "| a | 2 | 2.00 (2.00 to 2.00) | 1.00 (1.00 to 1.00) | 0 | 0 |" in text
    assert "| b | 1 | 0.50 (0.50 to 0.50) | 1.00 (1.00 to 1.00) | 0 | 1 |" in text
    assert "| all | 3 | 1.26 (" in text and "| all, little data | 1 | 3.00" in text
