"""A network of our own for tests that capture: loopback, and every right on it."""

from collections.abc import Callable, Iterator

import pytest
from programs import Program


@pytest.fixture(scope="session")
def namespace(need: Callable[..., None]) -> Iterator[tuple[str, ...]]:
    """The words that, put before a command, let it run in a private network namespace.

    An ordinary user may make one (`unshare -Urn`) and capture in it; nobody else's packets are
    there to be seen.
    """
    need("unshare", "nsenter", "ip")
    with Program(
        ["unshare", "-Urn", "sh", "-c", "ip link set lo up && echo up; exec sleep 1000"]
    ) as holder:
        try:
            holder.wait_for("^up$")
        except AssertionError:
            pytest.skip(f"no user namespaces here: {holder.output}")
        yield ("nsenter", "-t", str(holder.pid), "-U", "-n", "--preserve-credentials")
