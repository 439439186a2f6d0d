"""What stands in place of `labkit.checks.check` where a submission is graded.

Cells that only check are not run there. Where a call stands among other code, it does nothing: who
grades checks from outside.
"""

from typing import Any


def check(*given: Any, **how: Any) -> None:
    """Do nothing."""
    del given, how
