"""Peers: train.py files like any other, to measure submissions against, run by `--peers`.

Each has the settings of its paper or package, but `learned_lr`, which is this project's own. Run
by name, and only then, a peer finds in its module's dict `given` what no submission is told:

- `horizon`: steps that the baseline took on this pair in this repeat, for a schedule that has to
  know its end;
- `hidden`: places in `task.state` of the matrices of hidden layers (evaluate.run.hidden);
- `average`: whether to test an average of the weights (the variants named NAME_averaged);
- `share`: of the horizon, for schedules that are to end sooner (NAME_half, NAME_quarter);
- `learning_rate`, `cosine`: of the peer that is tuned for each pair (evaluate.score.tuning).
"""

import hashlib
import importlib.util
from collections.abc import Sequence
from importlib import resources
from pathlib import Path

from evaluate.errors import InputError
from evaluate.submission import Submission

_FOLDER = Path(__file__).resolve().parent
#: The peers beside the baseline, and the package that each needs beside PyTorch.
PACKAGES = {
    "adam_1e3": None,
    "adam_3e3": None,
    "adam_tuned": None,
    "celo": "msgpack",
    "celo2": "msgpack",
    "dadapt_adam": "dadaptation",
    "dog": "dog",
    "learned_lr": None,
    "mechanic": "mechanic_pytorch",
    "momo": "momo",
    "muon": "pytorch_optimizer",
    "nadamw": None,
    "prodigy": "prodigyopt",
    "schedule_free_adamw": "schedulefree",
    "sgd": None,
    "sgd_annealed": None,
    "sgd_cosine": None,
    "soap": "pytorch_optimizer",
}
#: Other people's learned optimizers, and where the weights of each are published. They are not part
#: of this project: a peer is there if its file is.
PUBLISHED = {"celo": "amoudgl/celo", "celo2": "amoudgl/celo2"}
#: Their variants, whose schedules end after a share of the horizon.
_SHARES = {"_half": 0.5, "_quarter": 0.25}
#: Where their weights are looked for; a submission's process sees the folder.
CHECKPOINTS = _FOLDER.parents[1] / "checkpoints"
#: Tuned for each pair on the very run that counts: an upper bound that no user can reach.
TUNED = "adam_tuned"
#: These average by themselves, or have a schedule that makes averaging pointless.
_NOT_AVERAGED = frozenset(
    {"dog", "learned_lr", "nadamw", "schedule_free_adamw", "sgd_annealed", "sgd_cosine", TUNED}
    | set(PUBLISHED)
)
#: The baseline under another name, there for its average.
_ONLY_AVERAGED = frozenset({"adam_1e3"})
_SUFFIX = "_averaged"
MEND = "install them with: pip install -e '.[peers]'"


def peer_names() -> list[str]:
    """Names of all peers except the baseline, with their averaged variants."""
    averaged = {name + _SUFFIX for name in PACKAGES if name not in _NOT_AVERAGED}
    shorter = {name + suffix for name in PUBLISHED for suffix in _SHARES}
    return sorted((set(PACKAGES) - _ONLY_AVERAGED) | averaged | shorter)


def find_peers(names: Sequence[str]) -> tuple[list[Submission], list[str]]:
    """The named peers, and the names of those left out as something is missing.

    `all` stands for every peer that can run here. Raises InputError for an unknown name, and for
    a peer asked for by name that cannot run.
    """
    known = peer_names()
    for name in names:
        if name not in ("all", *known):
            raise InputError(f"--peers {name}: no such peer; name some of all, {', '.join(known)}")
        if name != "all" and (lack := lacks(name)):
            raise InputError(f"--peers {name}: {lack[0]} is missing; {lack[1]}")
    wanted = [name for name in known if name in names or "all" in names]
    found = [_peer(name) for name in wanted if not lacks(name)]
    return found, [name for name in wanted if lacks(name)]


def lacks(name: str) -> tuple[str, str] | None:
    """What the peer lacks to run here, and how to get it; None if it lacks nothing."""
    name = _file_of(name)
    package = PACKAGES[name]
    if package is not None and importlib.util.find_spec(package) is None:
        return f"package {package}", MEND
    if name in PUBLISHED and not weights_file(name).is_file():
        return str(weights_file(name)), download(name)
    return None


def weights_file(name: str) -> Path:
    """Where the weights of another's learned optimizer are to lie."""
    return CHECKPOINTS / name / "theta.state"


def download(name: str) -> str:
    """How to get them."""
    folder = weights_file(name).parent
    return f"get the weights with: hf download {PUBLISHED[name]} theta.state --local-dir {folder}"


def _file_of(name: str) -> str:
    for suffix in (_SUFFIX, *_SHARES):
        name = name.removesuffix(suffix)
    return name


def _peer(name: str) -> Submission:
    given: dict = {"average": True} if name.endswith(_SUFFIX) else {}
    for suffix, share in _SHARES.items():
        if name.endswith(suffix):
            given = {"share": share}
    path = _FOLDER / f"{_file_of(name)}.py"
    # A peer is its file, the loop that all share, and its variant: a change makes it another.
    content = path.read_bytes() + (_FOLDER / "common.py").read_bytes() + repr(given).encode()
    content += b"".join(source.read_bytes() for source in _own(name))
    digest = hashlib.sha256(content).hexdigest()
    return Submission(path, name, digest, is_peer=True, given=given)


def _own(name: str) -> list:
    """Files of this project, beside its peers', that a peer is made of."""
    if (file := _file_of(name)) in PUBLISHED:
        return [_FOLDER / "celo_common.py", weights_file(file)]
    if name != "learned_lr":
        return []
    modules = Path(str(resources.files("policy"))).rglob("*.py")
    weights = resources.files("checkpoints") / "policy.safetensors"
    return [*sorted(modules), weights]
