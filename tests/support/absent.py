"""Data that a machine may lack."""

import pytest

from tasks import DataError


def or_skip(make, *arguments, **settings):
    """Return `make(*arguments, **settings)`; skip the test if its data are missing."""
    try:
        return make(*arguments, **settings)
    except DataError as missing:
        pytest.skip(str(missing))
