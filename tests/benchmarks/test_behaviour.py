"""The figure of behaviour shows every curve of every task."""

from benchmarks import behaviour


def test_figure_has_a_column_per_task_and_a_line_per_curve(monkeypatch):
    monkeypatch.setattr(behaviour, "STEPS", 3)
    names = {"jump": ("undisturbed", "shuffled")}
    rows = [
        {
            "task": task,
            "curves": {
                row: {name: [1.0, 2.0, 3.0] for name in names.get(row, ("vectors",))}
                for row in behaviour.ROWS
            },
        }
        for task in behaviour.TASKS
    ]
    axes = behaviour.figure({"rows": rows}).axes
    assert len(axes) == len(behaviour.TASKS) * len(behaviour.ROWS)
    assert [axis.get_title() for axis in axes[: len(rows)]] == list(behaviour.TASKS)
    assert [len(axis.lines) for axis in axes[:: len(rows)]] == [1, 2]
