"""The error that the command line reports in one line on stderr, with exit code 2."""


class InputError(ValueError):
    """Bad input. The one-line message names the input and the fix."""
