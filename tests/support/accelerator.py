"""A simulated accelerator: its tensors seem to be on another device, but the CPU computes them.

It refuses what a GPU refuses: operations on tensors of two devices, generators of another device
and, while a graph is recorded, everything that waits for the device. It counts what makes the host
wait, since GPU code must rarely do that. Kernels, memory and speed are the CPU's.

Torch's device `meta` stands for the accelerator: every build has it, and it has no tensors that
could be confused with these. `torch.cuda` and `Tensor.is_cuda` refer to it, too.
"""

import contextlib
import weakref
from unittest import mock

import torch
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode, return_and_correct_aliasing
from torch.utils._pytree import tree_leaves, tree_map

DEVICE = torch.device("meta")
aten = torch.ops.aten
COPIES = {aten._to_copy, aten.copy_, aten._foreach_copy_, aten.lift_fresh}
# Their results, or the shapes of their results, depend on the entries of tensors.
WAITS = {aten._local_scalar_dense, aten.nonzero, aten.masked_select, aten.equal, aten.is_nonzero}
INDEXING = {aten.index, aten.index_put, aten.index_put_}


class Remote(torch.Tensor):
    """A tensor on the accelerator; `host` holds its entries."""

    __torch_function__ = torch._C._disabled_torch_function_impl

    @staticmethod
    def __new__(cls, host):
        made = torch.Tensor._make_wrapper_subclass(
            cls,
            host.size(),
            strides=host.stride(),
            storage_offset=host.storage_offset(),
            dtype=host.dtype,
            device=DEVICE,
        )
        made.host = host
        return made

    @classmethod
    def __torch_dispatch__(cls, func, types, args=(), kwargs=None):
        return Accelerator.running.call(func, args, kwargs or {})

    def tolist(self):
        return self.cpu().tolist()

    def data_ptr(self):
        return self.host.data_ptr()

    def __repr__(self):
        return f"Remote({self.host})"


class Generator(torch.Generator):
    """A generator that reports the device it is for; its numbers are the CPU's."""

    def __new__(cls, device="cpu"):
        made = super().__new__(cls)
        made.place = torch.device(device)
        return made

    device = property(lambda self: self.place)


class _Calls(TorchFunctionMode):
    """Handles calls that must be intercepted in Python.

    These are constants, whose values `meta` would drop, and generators, which reach the dispatcher
    without their device.
    """

    def __torch_function__(self, func, types, args=(), kwargs=None):
        kwargs = dict(kwargs or {})
        device = kwargs.get("device")
        if func is torch.Tensor.new_tensor:
            own, *args = args
            kwargs.setdefault("dtype", own.dtype)
            func, device = torch.tensor, device or own.device
        if func in (torch.tensor, torch.as_tensor) and _is_remote(device):
            kwargs.pop("device", None)
            return func(*args, **kwargs).to(DEVICE)
        made, generator = func(*args, **kwargs), kwargs.get("generator")
        if isinstance(generator, Generator) and isinstance(made, torch.Tensor):
            _same_device(func.__name__, generator.device, made.device)
        return made


class Graph:
    """Stands for `torch.cuda.CUDAGraph`; repeats recorded calls on the recorded tensors."""

    def __init__(self):
        self.calls = []

    def record(self, func, args, kwargs, out):
        """Record a call on hosts whose results are `out`."""
        made = [t for t in tree_leaves(out) if isinstance(t, torch.Tensor)]
        self.calls.append((func, args, kwargs, made))

    def replay(self):
        """Repeat all calls, and write their results into the recorded ones."""
        for func, args, kwargs, made in self.calls:
            again = [t for t in tree_leaves(func(*args, **kwargs)) if isinstance(t, torch.Tensor)]
            for old, new in zip(made, again, strict=True):
                if old.data_ptr() != new.data_ptr():  # neither in place nor a view
                    old.copy_(new)


class Accelerator(TorchDispatchMode):
    """Context in which `DEVICE` can be used.

    `waits` lists the operations that waited; `kernels` is the number of all operations on it,
    without views.
    """

    running = None

    def __init__(self):
        super().__init__()
        self.waits, self.kernels, self.graph = [], 0, None
        self.pools = {}  # handle -> remaining recordings

    def __enter__(self):
        self.patches = contextlib.ExitStack()
        # Makes constants on the CPU, then moves them in a call that the dispatcher sees.
        self._set(torch._C._set_only_lift_cpu_tensors, torch._C._only_lift_cpu_tensors())
        # Modules keep tied parameters when moved, as between real devices.
        future = torch.__future__
        self._set(
            future.set_swap_module_params_on_conversion,
            future.get_swap_module_params_on_conversion(),
        )
        is_cuda = property(lambda tensor: tensor.device.type == DEVICE.type)
        for patch in (
            mock.patch.object(torch, "Generator", Generator),
            mock.patch.object(torch.Tensor, "is_cuda", is_cuda),
            mock.patch.multiple(torch.cuda, **self._cuda()),
            mock.patch.object(Accelerator, "running", self),
            _Calls(),
        ):
            self.patches.enter_context(patch)
        return super().__enter__()

    def __exit__(self, *error):
        super().__exit__(*error)
        self.patches.close()

    def _set(self, setter, before):
        """Switch on a setting of torch until the context ends."""
        setter(True)
        self.patches.callback(setter, before)

    def _cuda(self):
        """Return the functions of `torch.cuda` that the project calls for such tensors."""
        stream = mock.Mock()
        return {
            "Stream": lambda: stream,
            "current_stream": lambda: stream,
            "stream": lambda chosen: contextlib.nullcontext(),
            "CUDAGraph": Graph,
            "is_current_stream_capturing": lambda: self.graph is not None,
            "graph": self._recording,
            "graph_pool_handle": lambda: (0, 0),
        }

    @contextlib.contextmanager
    def _recording(self, graph, pool=None):
        if pool in self.pools and not self.pools[pool]:
            raise RuntimeError("use_count > 0 INTERNAL ASSERT FAILED: the pool was given up")
        if pool is not None:
            self.pools.setdefault(pool, weakref.WeakSet()).add(graph)
        self.graph = graph
        try:
            yield
        finally:
            self.graph = None

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        return self.call(func, args, kwargs or {})

    def call(self, func, args, kwargs):
        """Run an operation where its tensors are, or raise RuntimeError like torch."""
        tensors = [t for t in tree_leaves((args, kwargs)) if isinstance(t, torch.Tensor)]
        on_device = any(isinstance(t, Remote) for t in tensors)
        if on_device and func.overloadpacket not in COPIES:
            _check_devices(func, tensors)
        to_device = on_device
        if kwargs.get("device") is not None:
            to_device = _is_remote(kwargs["device"])
        if func.overloadpacket is aten.copy_:
            to_device = isinstance(args[0], Remote)
        self.kernels += (on_device or to_device) and not func.is_view
        if self._waits(func, args, tensors, on_device, to_device):
            self._wait(func)
        out = self._compute(func, args, kwargs)
        if not to_device:
            return out
        out = tree_map(lambda t: Remote(t) if isinstance(t, torch.Tensor) else t, out)
        return return_and_correct_aliasing(func, args, kwargs, out)

    def _compute(self, func, args, kwargs):
        args, kwargs = tree_map(_host, (args, kwargs))
        if kwargs.get("device") is not None:
            kwargs["device"] = torch.device("cpu")
        out = func(*args, **kwargs)
        if self.graph is not None:
            self.graph.record(func, args, kwargs, out)
        return out

    @staticmethod
    def _waits(func, args, tensors, on_device, to_device):
        """Return whether the host waits, for a value or for a copy between devices."""
        if func.overloadpacket in COPIES:
            places = {isinstance(t, Remote) for t in tensors} | {to_device}
            return len(places) == 2
        if func.overloadpacket in INDEXING:
            chosen = [index for index in args[1] if index is not None]
            return on_device and any(index.dtype == torch.bool for index in chosen)
        return on_device and func.overloadpacket in WAITS

    def _wait(self, func):
        if self.graph is not None:
            raise RuntimeError(f"{func}: operation not permitted when stream is capturing")
        self.waits.append(str(func.overloadpacket))


def _check_devices(func, tensors):
    """Raise RuntimeError for CPU tensors, except scalars in elementwise operations."""
    for tensor in tensors:
        if not isinstance(tensor, Remote):
            if tensor.dim() or torch.Tag.pointwise not in func.tags:
                _same_device(func, tensor.device, DEVICE)


def _same_device(func, one, other):
    if one.type != other.type:
        raise RuntimeError(f"{func}: expected all on the same device, found {one} and {other}")


def _is_remote(device):
    return device is not None and torch.device(device).type == DEVICE.type


def _host(value):
    return value.host if isinstance(value, Remote) else value
