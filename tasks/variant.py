"""The frozen description of a training problem, for the single task and the batched one."""

import dataclasses
import hashlib
import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, Self, get_args

from tasks.architectures import FAMILIES
from tasks.data import DATA, kind_of
from tasks.data.formats import Images, Text
from tasks.losses import Loss
from tasks.options import Options, VariantError, choose, complete

Oracle = Literal["supervised", "language"]
Init = Literal["default", "normal", "xavier", "orthogonal", "small", "zero_head"]
Precision = Literal["full", "bfloat16", "float16"]


@dataclass(frozen=True)
class Variant:
    """One training problem. Equal descriptions give equal tasks, in any process.

    family, arch: an architecture of `FAMILIES` and its options. Missing options get their defaults.
    data, data_options: a data set of `DATA` and its options, likewise. Mappings are accepted.
    batch_size: the task's default, in examples (in parallel streams for the language oracle).
    seed: seed of initial weights, tensor scales, label noise and batch order.
    init: initial matrices: "default" as in the architecture, others as in `tasks.model.INITS`.
    init_scale: factor on the initial matrices (tensors of two or more dimensions).
    reparam: the model's l-th weight is s_l p_l, with log2 s_l uniform in [-reparam, reparam].
        `state` holds p_l. So the network starts the same, but its optimisation differs.
    reparam_all: like `reparam`, a further factor that all tensors share.
    label_noise: share of the training labels that are replaced by uniformly random ones.
    input_scale: factor on the (standardised) inputs, images only.
    loss: a loss of `tasks.losses`. None is "reconstruction" for autoencoders, otherwise
        "cross_entropy".
    oracle: "supervised" takes independent examples. "language" carries the recurrent state from
        batch to batch, as the challenge's language task does.

    The oracles apply these to their results, in this order:
    gradient_noise: normal noise on each gradient tensor, in units of its root mean square.
    clip: largest global gradient norm, or None.
    precision: type that gradients are rounded to.
    stale: number of calls by which gradients are late. The first `stale` calls have no delay.
    test_noise: relative standard deviation of noise on the test loss.

    target: test loss that ends the task (nats, or mean squared error), or None.

    Raises VariantError that names the field and its valid values.
    """

    family: str
    data: str
    arch: Options = ()
    data_options: Options = ()
    batch_size: int = 32
    seed: int = 0
    init: Init = "default"
    init_scale: float = 1.0
    reparam: float = 0.0
    reparam_all: float = 0.0
    label_noise: float = 0.0
    input_scale: float = 1.0
    loss: Loss | None = None
    oracle: Oracle = "supervised"
    gradient_noise: float = 0.0
    clip: float | None = None
    precision: Precision = "full"
    stale: int = 0
    test_noise: float = 0.0
    target: float | None = None

    def __post_init__(self) -> None:
        choose("family", self.family, FAMILIES)
        choose("data set", self.data, DATA)
        family = FAMILIES[self.family]
        arch = complete(f"family {self.family!r}", family.module, self.arch)
        data = complete(f"data set {self.data!r}", DATA[self.data], self.data_options)
        object.__setattr__(self, "arch", arch)
        object.__setattr__(self, "data_options", data)
        if kind_of(self.data) is not family.kind:
            needs, has = family.kind.__name__.lower(), kind_of(self.data).__name__.lower()
            raise VariantError(f"family {self.family!r} needs {needs}; {self.data!r} is {has}")
        for name, literal in (("oracle", Oracle), ("init", Init), ("precision", Precision)):
            choose(name, getattr(self, name), dict.fromkeys(get_args(literal)))
        self._check_numbers()
        self._check_loss()
        self._check_oracle()

    def _check_numbers(self) -> None:
        for name, least in (("batch_size", 1), ("seed", 0), ("stale", 0)):
            value = getattr(self, name)
            if type(value) is not int or value < least:
                raise VariantError(f"{name} must be an integer of at least {least}, not {value!r}")
        for name in ("init_scale", "input_scale"):
            _require(self, name, lambda value: value > 0, "positive")
        for name in ("reparam", "reparam_all", "gradient_noise", "test_noise"):
            _require(self, name, lambda value: value >= 0, "at least 0")
        _require(self, "label_noise", lambda value: 0 <= value <= 1, "in [0, 1]")
        for name in ("clip", "target"):
            if getattr(self, name) is not None:
                _require(self, name, lambda value: value > 0, "positive or None")

    def _check_loss(self) -> None:
        reconstructs = getattr(FAMILIES[self.family].module, "reconstructs", False)
        if self.loss is None:
            default = "reconstruction" if reconstructs else "cross_entropy"
            object.__setattr__(self, "loss", default)
        choose("loss", self.loss, dict.fromkeys(get_args(Loss)))
        if reconstructs != (self.loss == "reconstruction"):
            raise VariantError(
                f"family {self.family!r} and loss {self.loss!r} do not go together: "
                "autoencoders reconstruct, the others predict labels"
            )
        if self.loss != "cross_entropy" and kind_of(self.data) is not Images:
            raise VariantError(f"loss {self.loss!r} needs images; {self.data!r} is text")
        if self.input_scale != 1 and kind_of(self.data) is not Images:
            raise VariantError(f"input_scale needs images; {self.data!r} is text")

    def _check_oracle(self) -> None:
        if self.oracle != "language":
            return
        if not getattr(FAMILIES[self.family].module, "recurrent", False):
            raise VariantError(f"oracle 'language' needs a recurrent family, not {self.family!r}")
        if kind_of(self.data) is not Text or self.label_noise:
            raise VariantError("oracle 'language' allows no label_noise: inputs are the labels")

    def to_dict(self) -> dict[str, Any]:
        """Return the description in plain JSON types, for `from_dict`."""
        fields = dataclasses.asdict(self)
        return fields | {"arch": dict(self.arch), "data_options": dict(self.data_options)}

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> Self:
        """Return the variant that `to_dict` described. Raises VariantError for unknown or missing
        fields."""
        known = {field.name: field for field in dataclasses.fields(cls)}
        for name in fields:
            choose("variant field", name, known)
        for name in ("family", "data"):
            if name not in fields:
                raise VariantError(f"a variant needs the field {name!r}")
        return cls(**fields)

    @property
    def digest(self) -> str:
        """Return 16 hexadecimal digits that identify the description."""
        return hashlib.sha256(json.dumps(self.to_dict(), sort_keys=True).encode()).hexdigest()[:16]


def _require(variant: Variant, name: str, accepts: Callable, what: str) -> None:
    """Check a float field, and store it as a float even if it is an integer."""
    value = getattr(variant, name)
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if not (number and math.isfinite(value) and accepts(value)):
        raise VariantError(f"{name} must be {what}, not {value!r}")
    object.__setattr__(variant, name, float(value))
