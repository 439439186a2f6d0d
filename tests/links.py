"""Tries every address elsewhere that the pages name: `make links`. The network is asked here only.

An address counts as good if somebody answers there, though it be that robots are not wanted (403,
429). It prints those that do not, with the pages that name them, and ends with 1 if there are any.
"""

import sys
import urllib.error
import urllib.request
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor

from prose import ROOT, paths, read

SECONDS = 20
ANSWERS_PEOPLE = (403, 405, 429)
HEADERS = {"User-Agent": "labkit-links/1.0", "Accept": "text/html,*/*"}


def trouble(address: str) -> str:
    """Why nobody can go there, or nothing."""
    request = urllib.request.Request(address.partition("#")[0], headers=HEADERS)
    try:
        with urllib.request.urlopen(request, timeout=SECONDS):
            return ""
    except urllib.error.HTTPError as error:
        return "" if error.code in ANSWERS_PEOPLE else f"{error.code} {error.reason}"
    except OSError as error:
        return str(error)


def main() -> int:
    """All of them, a few at a time."""
    named: dict[str, set[str]] = defaultdict(set)
    for path in paths():
        for link in read(path).links():
            if link.startswith("https:"):
                named[link].add(path.relative_to(ROOT).as_posix())
    with ThreadPoolExecutor(4) as pool:
        found = dict(zip(named, pool.map(trouble, named), strict=True))
    bad = {link: why for link, why in found.items() if why}
    for link, why in sorted(bad.items()):
        print(f"{link}: {why} (in {', '.join(sorted(named[link]))})")
    print(f"{len(named)} addresses, {len(bad)} of them lead nowhere")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
