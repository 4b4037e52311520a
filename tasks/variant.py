"""The frozen description from which both the single task and the batched one are built."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

from tasks.architectures import FAMILIES
from tasks.data import DATA, Text, kind_of
from tasks.options import Options, VariantError, choose, complete

Oracle = Literal["supervised", "language"]


@dataclass(frozen=True)
class Variant:
    """One training problem; equal descriptions give equal tasks, in any process.

    family, arch: an architecture of `FAMILIES` and its options; omitted ones are filled in.
    data, data_options: a data set of `DATA` and its options, likewise. Mappings are accepted.
    batch_size: the task's default, in examples (in parallel streams for the language oracle).
    seed: initial weights, tensor scales, label noise and batch order.
    init_scale: factor on the initial matrices (tensors of two or more dimensions).
    reparam: the model's l-th weight is s_l p_l, log2 s_l uniform in [-reparam, reparam]; `state`
        holds p_l, so the network starts the same and only its optimisation differs.
    label_noise: share of the training labels that are replaced by uniformly drawn ones.
    clip: largest global gradient norm, or None.
    oracle: "language" carries the recurrent state from batch to batch as the challenge's
        language task does; "supervised" takes every example by itself.
    target: test loss in nats that ends the task, or None: never.

    Raises VariantError naming the field and what it may be.
    """

    family: str
    data: str
    arch: Options = ()
    data_options: Options = ()
    batch_size: int = 32
    seed: int = 0
    init_scale: float = 1.0
    reparam: float = 0.0
    label_noise: float = 0.0
    clip: float | None = None
    oracle: Oracle = "supervised"
    target: float | None = None

    def __post_init__(self) -> None:
        choose("family", self.family, FAMILIES)
        choose("data set", self.data, DATA)
        family = FAMILIES[self.family]
        arch = complete(f"family {self.family!r}", family.module, self.arch)
        data = complete(f"data set {self.data!r}", DATA[self.data], self.data_options)
        object.__setattr__(self, "arch", arch)
        object.__setattr__(self, "data_options", data)
        self._check_numbers()
        if kind_of(self.data) is not family.kind:
            needs, has = family.kind.__name__.lower(), kind_of(self.data).__name__.lower()
            raise VariantError(f"family {self.family!r} needs {needs}; {self.data!r} is {has}")
        self._check_oracle()

    def _check_numbers(self) -> None:
        for name, least in (("batch_size", 1), ("seed", 0)):
            value = getattr(self, name)
            if type(value) is not int or value < least:
                raise VariantError(f"{name} must be an integer of at least {least}, not {value!r}")
        _require(self, "init_scale", lambda value: value > 0, "positive")
        _require(self, "reparam", lambda value: value >= 0, "at least 0")
        _require(self, "label_noise", lambda value: 0 <= value <= 1, "in [0, 1]")
        for name in ("clip", "target"):
            if getattr(self, name) is not None:
                _require(self, name, lambda value: value > 0, "positive or None")

    def _check_oracle(self) -> None:
        choose("oracle", self.oracle, dict.fromkeys(get_args(Oracle)))
        if self.oracle != "language":
            return
        if not getattr(FAMILIES[self.family].module, "recurrent", False):
            raise VariantError(f"oracle 'language' needs a recurrent family, not {self.family!r}")
        if kind_of(self.data) is not Text or self.label_noise:
            raise VariantError("oracle 'language' allows no label_noise: inputs are the labels")

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types; `from_dict` inverts it."""
        fields = dataclasses.asdict(self)
        return fields | {"arch": dict(self.arch), "data_options": dict(self.data_options)}

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> Variant:
        """Inverse of `to_dict`. Raises VariantError for unknown or missing fields."""
        known = {field.name: field for field in dataclasses.fields(cls)}
        for name in fields:
            choose("variant field", name, known)
        for name in ("family", "data"):
            if name not in fields:
                raise VariantError(f"a variant needs the field {name!r}")
        return cls(**fields)

    @property
    def digest(self) -> str:
        """16 hexadecimal digits that identify the description."""
        return hashlib.sha256(json.dumps(self.to_dict(), sort_keys=True).encode()).hexdigest()[:16]


def _require(variant: Variant, name: str, accepts, what: str) -> None:
    """Check a float field, and store integers as floats so that equal numbers hash equal."""
    value = getattr(variant, name)
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if not (number and math.isfinite(value) and accepts(value)):
        raise VariantError(f"{name} must be {what}, not {value!r}")
    object.__setattr__(variant, name, float(value))
