"""A cell that uses what a student wrote, and may be run before it is written.

    with if_written():
        display(listen({"said": voice, "heard": through(voice)}))

So an unfinished notebook runs to its end, and what goes wrong is told in a line, with the student's
own, and not as a traceback through the kit.
"""

import contextlib
from collections.abc import Iterator

from labkit.checks.blame import blame, where


@contextlib.contextmanager
def if_written() -> Iterator[None]:
    """Run the block; an error in it becomes a line."""
    try:
        yield
    except NotImplementedError as error:
        print(f"Nothing to hear or see yet: {where(error) or 'it'} is not written.")
    except Exception as error:  # noqa: BLE001  (whatever a student's code raises)
        kinds, message, _ = blame(error)
        print(f"{kinds[0]}: {message}\n  in {where(error) or 'the kit'}")
