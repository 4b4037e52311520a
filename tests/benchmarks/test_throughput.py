"""The throughput table says what was measured."""



from benchmarks.throughput import table

RESULT = {
    "command": ["python", "-m", "benchmarks.meta_throughput"],
    "git": {"commit": "abc", "dirty": False},
    "seed": 0,
    "hardware": {"cpu": "a CPU", "cores": 2, "gpu": None, "device": "cpu", "threads": 1},
    "versions": {"python": "3.11", "torch": "2"},
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


def test_table_says_what_was_measured():
    text = table(RESULT)
    row = "| mlp | 25,058 | 32 | 16 | 500 | - | 3,000 | - | 12,000 | 6.0x | - | 25% | 501 |"
    assert row in text and "commit abc" in text
    assert "JAX 0.10. a CPU" in text
