"""What tests of programs in namespaces share."""

import os
import shutil
import stat
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from ordinary import NOBODY, opened_to_all

ROOT = Path(__file__).parents[2]


@pytest.fixture
def ordinary(need):
    """Runs Python in a folder as nobody, with a copy of labkit and a TUN device he can open.

    Distributions let everybody open /dev/net/tun; where only root may, a node that is open to all
    is laid over it. The mount namespace in which this is done is nobody else's.
    """
    if os.geteuid() != 0:
        pytest.skip("all of these tests run as an ordinary user already")
    need("unshare", "setpriv")
    with tempfile.TemporaryDirectory(prefix="labkit-") as name:
        folder = Path(name)
        for part in ("labkit", "netem"):
            shutil.copytree(ROOT / part, folder / part)
        for path in (folder, *folder.rglob("*")):
            path.chmod(0o755 if path.is_dir() else 0o644)
        os.mknod(folder / "tun", stat.S_IFCHR | 0o666, os.makedev(10, 200))
        (folder / "tun").chmod(0o666)
        (folder / "out").mkdir()
        os.chown(folder / "out", NOBODY, NOBODY)
        python = f'env -i PATH=/usr/bin:/bin HOME=. PYTHONPATH={folder} {sys.executable} "$@"'
        script = [
            *opened_to_all([Path(sys.base_prefix), Path(sys.prefix)], folder),
            f"mount --bind {folder}/tun /dev/net/tun",
            f"cd {folder}/out",
            f"exec setpriv --reuid={NOBODY} --regid={NOBODY} --clear-groups {python}",
        ]

        def run(*words):
            unshare = ["unshare", "--mount", "--propagation", "private", "sh", "-c"]
            command = [*unshare, " && ".join(script), "sh", *words]
            return subprocess.run(command, capture_output=True, text=True, timeout=50)

        yield run, folder / "out"
