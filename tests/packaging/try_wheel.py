"""Try the wheel like a user: `python -I tests/packaging/try_wheel.py README.md`.

The environment needs the wheel, Hugging Face's `evaluate` and mypy, and no clone on its path.
"""

import re
import subprocess
import sys
import tempfile
from importlib import metadata
from pathlib import Path

import torch
from torch import nn

import evaluate

TYPED = """\
from torch import nn
from learned_lr import LearnedLR
optimizer = LearnedLR(nn.Linear(3, 2).parameters(), lr=0.5, floor=-1.0)
"""
WRONG = TYPED + "optimizer.observe('a text')\n"


def check_installation():
    """Check that one package of this project is installed, beside the other `evaluate`."""
    files = metadata.files("autotrain-lr")
    folders = {file.parts[0] for file in files if not file.parts[0].endswith(".dist-info")}
    assert folders == {"learned_lr"}, folders
    assert hasattr(evaluate, "load"), "evaluate is not Hugging Face's"
    requirements = [r for r in metadata.requires("autotrain-lr") if "extra ==" not in r]
    assert [re.match(r"[\w-]+", r)[0] for r in requirements] == ["torch"], requirements


def run_example(readme):
    """Run the README's first Python block, on a small network with batch norm."""
    example = re.search(r"```python\n(.*?)```", readme, re.DOTALL)[1]
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 16), nn.BatchNorm1d(16), nn.Tanh(), nn.Linear(16, 3))
    inputs = [torch.randn(32, 4) for _ in range(100)]
    batches = [(x, x[:, :3].argmax(1)) for x in inputs]
    criterion = nn.CrossEntropyLoss()
    losses = []

    def test_or_save(model):
        assert not model.training
        losses.append(sum(criterion(model(x), y).item() for x, y in batches))

    names = {"model": model, "batches": batches, "criterion": criterion}
    test_or_save(model.eval())
    model.train()
    exec(example, {**names, "test_or_save": test_or_save})
    before, after = losses
    assert after < 0.6 * before, losses


def check_types():
    """Check that mypy uses the type hints, and finds mistakes with them."""
    with tempfile.TemporaryDirectory() as folder:
        for text, expected in ((TYPED, 0), (WRONG, 1)):
            file = Path(folder, "user.py")
            file.write_text(text)
            command = [sys.executable, "-m", "mypy", "--strict", "user.py"]
            done = subprocess.run(command, capture_output=True, text=True, cwd=folder)
            assert done.returncode == expected, done.stdout + done.stderr
    assert 'Argument 1 to "observe" of "LearnedLR" has incompatible type "str"' in done.stdout


if __name__ == "__main__":
    check_installation()
    run_example(Path(sys.argv[1]).read_text(encoding="utf-8"))
    check_types()
    print(
        f"learned_lr works: Python {sys.version.split()[0]}, torch {torch.__version__}, "
        f"evaluate {evaluate.__version__}, mypy {metadata.version('mypy')}"
    )
