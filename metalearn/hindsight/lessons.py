"""Lessons, the records of the arms of a group's episodes, and their files, one per group."""

from pathlib import Path
from typing import NamedTuple

import torch
from safetensors import safe_open
from safetensors.torch import save

from writing.files import write_atomically


class Lessons(NamedTuple):
    """Records of E episodes with A arms each, over T decisions for n tensors."""

    arms: torch.Tensor  # [A, PATHS]
    time: torch.Tensor  # [E, A], to the target over the baseline's; fixed length: remaining loss
    area: torch.Tensor  # [E, A], under the curve of the distance to the target
    reached: torch.Tensor  # [E, A] bool
    baseline: torch.Tensor  # [E], steps
    length: torch.Tensor  # [E, A], decisions made
    features: torch.Tensor  # [T, E, A, n, FEATURES], float16
    output: torch.Tensor  # [T, E, A, n], log rates of the policy without the path
    is_matrix: torch.Tensor  # [n] bool


class Group(NamedTuple):
    """The lessons of a group, with its family and number."""

    family: str  # with a suffix for runs of fixed length, whose surfaces are fitted separately
    number: int
    lessons: Lessons


def save_group(path: Path, group: Group) -> None:
    """Write a group's file atomically."""
    tensors = {name: value.cpu().contiguous() for name, value in group.lessons._asdict().items()}
    write_atomically(path, save(tensors, {"family": group.family, "number": str(group.number)}))


def load_group(path: Path) -> Group:
    """Read a group's file. Raises OSError, or SafetensorError for a damaged file."""
    with safe_open(path, framework="pt") as file:
        told = file.metadata()
        lessons = Lessons(*(file.get_tensor(name) for name in Lessons._fields))
    return Group(told["family"], int(told["number"]), lessons)
