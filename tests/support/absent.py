"""Data that a machine may lack."""

import pytest

from tasks import DataError


def or_skip(make, *arguments, **settings):
    """Return what `make` makes of the arguments; skip the test where its data are not there."""
    try:
        return make(*arguments, **settings)
    except DataError as missing:
        pytest.skip(str(missing))
