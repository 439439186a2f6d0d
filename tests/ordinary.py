"""Running something as an ordinary user, for tests that root runs."""

import stat

NOBODY = 65534


def opened_to_all(paths, folder):
    """Lines of shell that make some folders reachable for everybody, in a mount namespace.

    Python, or the environment of these tests, may lie in a home that is closed to others: then an
    empty folder is laid over that home, and the wanted ones are put back into it.
    """
    parents = {parent for path in paths for parent in path.parents}
    closed = {parent for parent in parents if not parent.stat().st_mode & stat.S_IXOTH}
    hidden = [path for path in paths if closed & set(path.parents)]
    aside = [(path, folder / f"aside{number}") for number, path in enumerate(hidden)]
    return [
        *(f"mkdir -p {there} && mount --bind {path} {there}" for path, there in aside),
        *(f"mount -t tmpfs -o mode=755 none {home}" for home in sorted(closed)[:1]),
        *(f"mkdir -p {path} && mount --bind {there} {path}" for path, there in aside),
    ]
