"""What a lab can do without: a cell that needs a missing program says so and goes on.

    with if_possible():
        print(tshark_streams("call.pcapng"))

Only `MissingCapability` is caught: its message says what is missing and what to install. Anything
else is an error and stays one.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from labkit.words.errors import MissingCapability


@contextmanager
def if_possible() -> Iterator[None]:
    """Run the block; where a part of this machine is missing, say which and skip the rest."""
    try:
        yield
    except MissingCapability as missing:
        print(f"Skipped: {missing.what}\n  to see this, {missing.remedy}")
