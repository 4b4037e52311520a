"""What Celo and Celo2 share: the file of weights, and the network that moves each weight.

Moudgil et al., "Celo: Training Versatile Learned Optimizers on a Compute Diet", TMLR 2025, and
"Celo2: Towards Learned Optimization Free Lunch", ICLR 2026. Features, constants and the file's form
are those of the authors' code (github.com/amoudgl/celo), which this was written after and held
against. A network of two small hidden layers is applied to every weight by itself; its thirty
inputs are the weight, its gradient, momenta, second moments as in Adam, and as in Adafactor.
"""

import math
from collections.abc import Callable, Iterator, Sequence

import msgpack
import torch
from torch import Tensor

from evaluate.errors import InputError
from evaluate.peers import download, weights_file
from evaluate.peers.common import horizon_of

DECAYS = torch.tensor([0.9, 0.99, 0.999])  # of momenta and of Adafactor's second moments
#: Columns of each group of features, in the order of the file.
_WIDTHS = (1, 1, 1, 3, 1, 3, 1, 3, 1, 3, 3, 3, 3, 3)
_ARRAY = 1  # the type that Flax gives arrays among MessagePack's extensions


def read_weights(peer: str, shapes: dict[str, tuple[int, ...]]) -> dict[str, Tensor]:
    """Return the arrays of the peer's `theta.state`, which has to hold those of `shapes`.

    The file is Flax's: nested maps in MessagePack, whose leaves are shape, type and bytes of an
    array. The keys of an array are joined by dots. Raises InputError for any other file.
    """
    path, mend = weights_file(peer), download(peer)
    try:
        arrays = dict(_flat(msgpack.unpackb(path.read_bytes(), ext_hook=_array)))
    except OSError as problem:
        raise InputError(f"{path}: {problem.strerror}; {mend}") from None
    except Exception:  # a damaged file can fail anywhere in a reader
        raise InputError(f"{path}: is not a file of weights; {mend}") from None
    for name, shape in shapes.items():
        if name not in arrays or tuple(arrays[name].shape) != shape:
            raise InputError(f"{path}: holds no {name} of shape {shape}; {mend}")
        if not arrays[name].isfinite().all():
            raise InputError(f"{path}: {name} is not finite; {mend}")
    return {name: arrays[name] for name in shapes}


def share_of_horizon(given: dict) -> int:
    """Return the steps of the peer's schedule: all of the horizon, or the share of its variant."""
    return max(1, round(given.get("share", 1) * horizon_of(given)))


def network_shapes(hidden: int, *stack: int) -> dict[str, tuple[int, ...]]:
    """Shapes of the network's arrays in the file, for hidden layers of so many units."""
    shapes: dict[str, tuple] = {
        f"w0__{group}": (width, hidden) for group, width in enumerate(_WIDTHS)
    }
    shapes |= {"b0": (hidden,), "w1": (hidden, hidden), "b1": (hidden,), "w2": (hidden, 3)}
    shapes["b2"] = (3,)
    return {f"ff_mod_stack.~.{name}": (*stack, *shape) for name, shape in shapes.items()}


class Network:
    """The network from a weight's features to its direction; runs on the device of `like`."""

    def __init__(self, weights: dict[str, Tensor], like: Tensor):
        def array(name: str) -> Tensor:
            return weights[f"ff_mod_stack.~.{name}"].to(like)

        # Celo's are a stack of one network.
        first = torch.cat([array(f"w0__{group}") for group in range(len(_WIDTHS))], dim=-2)
        layers = [(first, array("b0"))] + [(array(f"w{i}"), array(f"b{i}")) for i in (1, 2)]
        self._layers = [(w.reshape(w.shape[-2:]), b.reshape(-1)) for w, b in layers]

    def __call__(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Direction and log magnitude of each weight."""
        (w0, b0), (w1, b1), (w2, b2) = self._layers
        hidden = torch.relu(torch.relu(features @ w0 + b0) @ w1 + b1)
        direction, magnitude, _ = (hidden @ w2 + b2).unbind(-1)
        return direction, magnitude


class Learned(torch.optim.Optimizer):
    """What Celo and Celo2 do at a step: features of each weight, then a direction made of them."""

    #: Of Adam's second moment: how slowly it changes, and what is added to it under a root.
    square_decay: float
    epsilon: float

    def __init__(self, weights: Sequence[Tensor], arrays: dict[str, Tensor], lr: float):
        super().__init__(weights, {"lr": lr})
        self.network = Network(arrays, weights[0])

    def direction(self, weight: Tensor, features: Tensor) -> Tensor:
        """Return what is subtracted from the weight, times the rate."""
        raise NotImplementedError

    @torch.no_grad()
    def step(self, closure: Callable | None = None) -> None:
        """Take a step; gradients beyond a thousand count as a thousand."""
        for group in self.param_groups:
            for weight in group["params"]:
                view, gradient, state = (
                    as_in_jax(weight),
                    as_in_jax(weight.grad),
                    self.state[weight],
                )
                if not state:
                    state["statistics"] = Statistics(view, self.square_decay, self.epsilon)
                features = state["statistics"].features(view, gradient.clamp(-1000, 1000))
                view.sub_(self.direction(view, features), alpha=group["lr"])


class Statistics:
    """Running statistics of one tensor's gradient, and the features made of them."""

    def __init__(self, weight: Tensor, square_decay: float, epsilon: float):
        self._square_decay, self._epsilon = square_decay, epsilon
        self._decays = DECAYS.to(weight)
        shape = [*weight.shape, len(DECAYS)]
        self._momenta = weight.new_zeros(shape)
        self._square = torch.zeros_like(weight).unsqueeze(-1)
        # Adafactor's: means over the largest axis and over the second largest, later ones first.
        *_, self._second, self._largest = [None, None, *_ascending(weight.shape)][-2:]
        self._is_factored = weight.dim() > 1
        if self._is_factored:
            self._rows = weight.new_zeros(_with_one(shape, self._largest))
            self._columns = weight.new_zeros(_with_one(shape, self._second))
        else:
            self._rows = self._columns = weight.new_zeros(shape)

    def features(self, weight: Tensor, gradient: Tensor) -> Tensor:
        """Take the gradient in; return the thirty features of each weight, in the last axis."""
        weight, gradient = weight.unsqueeze(-1), gradient.unsqueeze(-1)
        self._momenta.lerp_(gradient, 1 - self._decays)
        self._square.lerp_(gradient.square(), 1 - self._square_decay)
        for_gradient, for_momenta = self._adafactor(gradient.square() + 1e-30)
        inverse = torch.rsqrt(self._square + self._epsilon)
        rows, columns = (x.expand_as(self._momenta) for x in (self._rows, self._columns))
        groups = (
            gradient, gradient.clamp(-0.1, 0.1), weight, self._momenta, self._square,
            self._momenta * inverse, inverse, gradient * for_gradient, gradient * inverse,
            rows, columns, torch.rsqrt(rows + 1e-8), torch.rsqrt(columns + 1e-8),
            self._momenta * for_momenta,
        )  # fmt: skip
        return torch.cat(groups, dim=-1)

    def _adafactor(self, square: Tensor) -> tuple[Tensor, Tensor]:
        """Renew the second moments; return the factors for the gradient and for its momenta."""
        mix = 1 - self._decays
        if not self._is_factored:
            self._rows.lerp_(square, mix)
            return _inverse_root(self._rows + 1e-9), self._rows.rsqrt()
        self._rows.lerp_(square.mean(self._largest, keepdim=True), mix)
        self._columns.lerp_(square.mean(self._second, keepdim=True), mix)
        share = self._rows / (self._rows.mean(self._second, keepdim=True) + 1e-9)
        factor = _inverse_root(share) * _inverse_root(self._columns)
        return factor, factor


def normalised(x: Tensor, axes: tuple[int, ...], epsilon: float) -> Tensor:
    """Return `x` with a mean square of one over these axes."""
    return x * torch.rsqrt(x.square().mean(axes, keepdim=True) + epsilon)


def as_in_jax(weight: Tensor) -> Tensor:
    """Return a view with the axes as JAX's networks have them: inputs, outputs last; no scalars."""
    if weight.dim() == 0:
        return weight.reshape(1)
    return weight.movedim((0, 1), (-1, -2)) if weight.dim() > 1 else weight


def _ascending(shape: Sequence[int]) -> list[int]:
    return sorted(range(len(shape)), key=shape.__getitem__)


def _with_one(shape: list[int], axis: int) -> list[int]:
    return [1 if i == axis else size for i, size in enumerate(shape)]


def _inverse_root(x: Tensor) -> Tensor:
    return x.clamp(min=1e-9).rsqrt()


def _array(kind: int, data: bytes) -> Tensor:
    shape, dtype, values = msgpack.unpackb(data)
    if kind != _ARRAY or dtype != "float32" or len(values) != 4 * math.prod(shape):
        raise ValueError("not an array of float32")
    return torch.frombuffer(bytearray(values), dtype=torch.float32).reshape(shape)


def _flat(tree: dict, prefix: str = "") -> Iterator[tuple[str, Tensor]]:
    for key, value in tree.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{key}.")
        elif isinstance(value, Tensor):
            yield prefix + key, value
