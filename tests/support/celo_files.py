"""Small made-up weight files in the published format of Celo and Celo2.

The direction is the gradient's sign and size with a little noise, so that training with it works.
"""

import msgpack
import numpy

WIDTHS = [1, 1, 1, 3, 1, 3, 1, 3, 1, 3, 3, 3, 3, 3]


def network(hidden: int, seed: int = 0) -> dict:
    """Return the network's arrays by their names in the file."""
    generator = numpy.random.default_rng(seed)

    def noise(*shape):
        return generator.normal(0.0, 0.1, shape)

    arrays = {f"w0__{group}": noise(width, hidden) for group, width in enumerate(WIDTHS)}
    arrays |= {f"b{i}": noise(hidden if i < 2 else 3) for i in range(3)}
    arrays |= {"w1": noise(hidden, hidden), "w2": noise(hidden, 3)}
    arrays["w0__0"][0, :2] += [1, -1]  # one unit per sign of the gradient
    arrays["w1"][[0, 1], [0, 1]] += 1
    arrays["w2"][:2, 0] += [1, -1]
    return {name: array.astype("float32") for name, array in arrays.items()}


def celo2(seed: int = 0) -> dict:
    """Return Celo2's tree of arrays."""
    return {"ff_mod_stack": {"~": network(8, seed)}}


def celo(seed: int = 0) -> dict:
    """Return Celo's tree of arrays."""
    generator = numpy.random.default_rng(seed + 100)

    def linear(inputs, outputs, bias=0.0):
        w, b = generator.normal(0.0, 0.2, (inputs, outputs)), generator.normal(bias, 0.2, outputs)
        return {"w": w.astype("float32"), "b": b.astype("float32")}

    state = generator.normal(0.0, 0.2, (2, 1, 64)).astype("float32")
    return {
        "ff_mod_stack": {"~": {name: array[None] for name, array in network(4, seed).items()}},
        "lstm_init_state": {"hidden": state[0], "cell": state[1]},
        "rnn_params": {
            "linear": linear(18, 64),  # the authors' code doesn't use it either
            "linear_1": linear(18, 64),
            "linear_2": linear(18, 64),
            "rnn/linear": linear(128, 256),
            "rnn_to_controls": linear(64, 1),
            "step_size": linear(64, 1, bias=4.6),
        },
    }


def packed(tree: dict, dtype: str = "float32") -> bytes:
    """Return the tree as serialised by Flax."""

    def leaf(array):
        values = array.astype(dtype).tobytes()
        return msgpack.ExtType(1, msgpack.packb([array.shape, dtype, values]))

    return msgpack.packb(tree, default=leaf)


def write(folder, name: str, content: bytes):
    """Write a file where the peer of that name looks for it in a folder of checkpoints."""
    path = folder / name / "theta.state"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path
