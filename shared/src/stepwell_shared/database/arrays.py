"""What is an array of parameters: a list or a tuple.

asyncpg asks of each array, and of each value in it, whether it can be iterated over and has a length. Asked of abstract
base classes, as it does, this is a twentieth of what a create takes; asked of these types it is next to nothing.
"""

from asyncpg.protocol import protocol

ARRAYS = (list, tuple)


def know_arrays() -> None:
    """From now on, in this process, asyncpg takes lists and tuples for arrays and refuses anything else as one."""
    protocol.IterableABC = protocol.SizedABC = ARRAYS
