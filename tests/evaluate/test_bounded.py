"""A call in its own process is limited in time and memory."""

import multiprocessing

import pytest

from evaluate.sandbox import bounded as module
from evaluate.sandbox.bounded import TooMuch, bounded


def take_memory(size):
    return len(bytes(size)) if size < 2**27 else sum(map(len, [bytes(2**27) for _ in range(100)]))


def spin():
    while True:
        pass


def test_call_returns_its_value():
    assert bounded(take_memory, 5) == 5


def test_call_beyond_its_limits_is_ended(monkeypatch):
    with pytest.raises(TooMuch):
        bounded(take_memory, 2**34)
    monkeypatch.setattr(module, "SECONDS", 1)
    with pytest.raises(TooMuch):
        bounded(spin)
    assert multiprocessing.active_children() == []
