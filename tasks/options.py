"""Options of architectures and data sets, read from their signatures.

An option is a keyword parameter with a default. Its type is that of the default, and a `Literal`
annotation limits its values. So a new architecture or data set declares its options once. Integers
are at least 1, unless the attribute `least` (name -> integer) sets another bound.
"""

import inspect
from collections.abc import Callable, Mapping
from typing import Any, Literal, get_args, get_origin, get_type_hints

Value = int | float | str | bool
Options = Any  # a mapping of names to values, stored as key-sorted pairs


class VariantError(ValueError):
    """A variant description has an unknown name or a value out of range."""


def choose(kind: str, name: str, known: Mapping) -> None:
    """Raise VariantError unless `name` is one of `known`."""
    if name not in known:
        raise VariantError(f"unknown {kind} {name!r}; known: {', '.join(sorted(known))}")


def complete(owner: str, configured: Callable, given: Options) -> Options:
    """Return `given` as key-sorted pairs, checked and completed by the defaults of `configured`.

    Pairs are sorted so that equal options compare and hash equal. Raises VariantError that names
    `owner`, the key, and what is known.
    """
    given = _pairs(owner, given)
    annotations = get_type_hints(configured.__init__ if inspect.isclass(configured) else configured)
    defaults = {
        name: parameter.default
        for name, parameter in inspect.signature(configured).parameters.items()
        if parameter.kind is inspect.Parameter.KEYWORD_ONLY
    }
    for key in given:
        choose(f"option of {owner}:", key, defaults)
    least = getattr(configured, "least", {})
    return tuple(
        (key, _checked(owner, key, given.get(key, default), default, annotations[key], least))
        for key, default in sorted(defaults.items())
    )


def _pairs(owner: str, given: Options) -> dict[str, Value]:
    try:
        return {str(key): value for key, value in dict(given).items()}
    except (TypeError, ValueError):
        raise VariantError(f"options of {owner} must be key-value pairs, not {given!r}") from None


def _checked(
    owner: str, key: str, value: Value, default: Value, annotation: type, least: Mapping[str, int]
) -> Value:
    if get_origin(annotation) is Literal and value not in get_args(annotation):
        known = ", ".join(map(str, get_args(annotation)))
        raise VariantError(f"unknown {key} {value!r} of {owner}; known: {known}")
    if type(default) is float and type(value) is int:
        value = float(value)
    if type(value) is not type(default):
        kind = type(default).__name__
        raise VariantError(f"{key} of {owner} must be of type {kind}, not {value!r}")
    if type(value) is int and value < least.get(key, 1):
        raise VariantError(f"{key} of {owner} must be at least {least.get(key, 1)}, not {value}")
    if type(value) is float and not 0 <= value < 1:
        raise VariantError(f"{key} of {owner} must be in [0, 1), not {value}")
    return value
