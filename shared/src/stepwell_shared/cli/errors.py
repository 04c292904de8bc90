"""The one error that the command line shows as a sentence instead of a traceback."""


class SetupError(Exception):
    """What is wrong with the machine or its settings, and what the person at the terminal can do next."""
