"""The error that the command line turns into one line on stderr and exit code 2."""


class InputError(ValueError):
    """Bad input: the message names the input and the mend, in one line."""
