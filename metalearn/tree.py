"""Functions of nested tuples of tensors: flatten, map, overwrite, select by particle."""

from collections.abc import Callable
from typing import Any

import torch


def leaves(tree: Any) -> list[torch.Tensor]:
    """Return all tensors of nested tuples, depth first."""
    if isinstance(tree, torch.Tensor):
        return [tree]
    return [leaf for branch in tree for leaf in leaves(branch)]


def mapped(function: Callable, tree: Any) -> Any:
    """Return nested tuples like `tree`, with the function applied to each tensor, depth first."""
    if isinstance(tree, torch.Tensor):
        return function(tree)
    return type(tree)(*(mapped(function, branch) for branch in tree))


def overwrite(tree: Any, other: Any) -> None:
    """Copy every tensor of `other` into the corresponding tensor of `tree`."""
    for old, new in zip(leaves(tree), leaves(other), strict=True):
        if old is not new:
            old.copy_(new)


def select(mask: torch.Tensor, a: Any, b: Any) -> Any:
    """Return `a` where the mask `[P]` is true, otherwise `b`. Tensors have P first."""
    if isinstance(a, torch.Tensor):
        return torch.where(mask.view(-1, *[1] * (a.dim() - 1)), a, b)
    return type(a)(*(select(mask, x, y) for x, y in zip(a, b, strict=True)))
