"""The cost of isolation, measured on a submission that may train in the sandbox."""

from benchmarks import isolation_cost
from evaluate.pairs import load_suite


def test_step_is_timed_in_both_processes(monkeypatch):
    monkeypatch.setattr(isolation_cost, "BLOCKS", 1)
    monkeypatch.setattr(isolation_cost, "SECONDS", 0.3)
    pair = next(pair for pair in load_suite("smoke") if pair.name == "topics_lstm_tiny")
    (row,) = isolation_cost.measure(pair)
    assert 0 < row["plain_seconds"][0] and 0 < row["apart_seconds"][0] < 1
