"""The throughput table shows the measured numbers."""

from benchmarks.origin import sentence, stamp
from benchmarks.throughput import table

RESULT = {
    **stamp("cpu", 0),
    "jax": {"version": "0.10", "device": "cpu"},
    "rows": [
        {
            "family": "mlp",
            "weights": 25058,
            "batch": 32,
            "particles": 16,
            "loop": 500.0,
            "jax": None,
            "eager": 3000.0,
            "graph": None,
            "floor": 12000.0,
            "state bytes per particle": 501_200,
        }
    ],
}


def test_table_shows_the_measurements():
    text = table(RESULT)
    row = "| mlp | 25,058 | 32 | 16 | 500 | - | 3,000 | - | 12,000 | 6.0x | - | 25% | 501 |"
    assert row in text and f"JAX 0.10. {sentence(RESULT)}" in text
