"""A kernel in the sandbox: what it can do, what it cannot, and how it ends."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from jupyter_client.manager import KernelManager

from labkit.cli import labkit
from labkit.grading import provisioner

pytestmark = pytest.mark.live


@pytest.fixture(scope="module")
def jupyter(tmp_path_factory, need):
    """Where the kernel is installed."""
    need("bwrap")
    prefix = tmp_path_factory.mktemp("prefix")
    assert labkit.main(["course", "kernel", "--prefix", str(prefix)]) == 0
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("JUPYTER_PATH", str(prefix / "share" / "jupyter"))
        patch.setenv("NBGRADER_EXECUTION", "autograde")
        patch.setenv("MY_SECRET", "hunter2")
        yield prefix


class Running:
    """A kernel and a client."""

    def __init__(self, folder: Path) -> None:
        self.manager = KernelManager(kernel_name=provisioner.NAME)
        self.manager.start_kernel(cwd=str(folder))
        self.client = self.manager.client()
        self.client.start_channels()
        self.client.wait_for_ready(timeout=20)

    def run(self, code: str) -> str:
        """What a cell prints, or the name of its error."""
        said = []
        hook = lambda message: said.append(message["content"].get("text", ""))  # noqa: E731
        reply = self.client.execute_interactive(
            code, timeout=20, output_hook=hook, stop_on_error=False
        )["content"]
        return reply["ename"] if reply["status"] == "error" else "".join(said).strip()

    def end(self) -> None:
        """End both."""
        self.client.stop_channels()
        self.manager.shutdown_kernel(now=True)
        self.manager.context.destroy(linger=0)


@pytest.fixture(scope="module")
def kernel(jupyter, tmp_path_factory):
    folder = tmp_path_factory.mktemp("submission")
    (folder / "given.csv").write_text("1,2\n")
    (folder / "data").mkdir()
    (folder / "data" / "more.txt").write_text("more\n")
    (folder / "link").symlink_to("/etc/passwd")
    (folder / "private").write_text("for its owner, who gives it\n")
    (folder / "private").chmod(0o600)
    running = Running(folder)
    yield running
    running.end()


def test_it_runs_a_cell(kernel):
    assert kernel.run("print(6 * 7)") == "42"
    assert kernel.run("import numpy, labkit; print(numpy.arange(3).sum())") == "3"
    assert kernel.run("from labkit import check; check('01.1'); print('checked')") == "checked"


def test_it_works_in_a_copy_of_the_folder(kernel):
    look = "import os; print(sorted(os.listdir()), open('given.csv').read().strip())"
    assert kernel.run(look) == "['data', 'given.csv', 'private'] 1,2"
    assert kernel.run("print(open('data/more.txt').read())") == "more"
    assert kernel.run("open('private', 'w').write('mine'); print('written')") == "written"
    assert kernel.run("open('new', 'wb').write(bytes(10**8))") == "OSError"


@pytest.mark.parametrize(
    ("code", "error"),
    [
        ("open({home!r} + '/.profile')", "FileNotFoundError"),
        ("open('/etc/passwd')", "FileNotFoundError"),
        ("open({root!r} + '/solutions/week01_frames.ipynb')", "FileNotFoundError"),
        ("import socket; socket.create_connection(('192.0.2.1', 80), 2)", "OSError"),
        ("import subprocess; subprocess.run(['/bin/true'])", "PermissionError"),
        ("import os; os.fork()", "PermissionError"),
        ("x = bytearray(10**10)", "MemoryError"),
        ("open('/usr/mine', 'w')", "OSError"),
        ("import os; os.environ['MY_SECRET']", "KeyError"),
        ("import os; os.kill(1, 9); os.listdir('/proc/1/fd')", "PermissionError"),
    ],
)
def test_what_it_cannot_do(kernel, code, error):
    root = Path(__file__).parents[2]
    found = kernel.run(code.format(home=str(Path.home()), root=str(root)))
    assert found == error, code


def test_nothing_outside_is_reached_over_its_own_loopback(kernel):
    import socket

    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        code = f"import socket; socket.create_connection(('127.0.0.1', {port}), 2)"
        assert kernel.run(code) == "ConnectionRefusedError"
    ours = "s = socket.create_server(('127.0.0.1', 0)); socket.create_connection(s.getsockname())"
    assert kernel.run(f"import socket; {ours}; print('alone')") == "alone"


def test_it_is_interrupted(kernel):
    # An error makes the kernel abort what waits behind it: not here.
    endless = "print('begun', flush=True)\nwhile True: pass"
    number = kernel.client.execute(endless, stop_on_error=False)
    while kernel.client.get_iopub_msg(timeout=20)["content"].get("text", "")[:5] != "begun":
        pass
    kernel.manager.interrupt_kernel()
    while (reply := kernel.client.get_shell_msg(timeout=20))["parent_header"]["msg_id"] != number:
        pass
    assert reply["content"]["ename"] == "KeyboardInterrupt"
    assert kernel.run("print('alive')") == "alive"


def test_it_starts_again_and_leaves_nothing(jupyter, tmp_path):
    running = Running(tmp_path)
    sockets = Path(running.manager.connection_file).parent
    assert len(str(sockets)) < 20
    assert sockets.stat().st_mode & 0o777 == 0o700
    running.manager.restart_kernel(now=True)
    running.client.wait_for_ready(timeout=20)
    assert running.run("print('again')") == "again"
    running.end()
    assert not sockets.exists()


PARENT = """
import json, os, sys
from jupyter_client.manager import KernelManager
manager = KernelManager(kernel_name="labkit-sandbox")
manager.start_kernel(cwd=sys.argv[1])
client = manager.client()
client.start_channels()
client.wait_for_ready(timeout=20)
print(json.dumps([manager.provisioner.pid, manager.connection_file]), flush=True)
sys.stdin.read()
"""


def test_it_dies_with_whoever_started_it(jupyter, tmp_path):
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    pid, connection = json.loads(parent.stdout.readline())
    ended = os.pidfd_open(pid)
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    parent.stdin.close()
    parent.stdout.close()
    import select

    assert select.select([ended], [], [], 10)[0], "it has ended too"
    os.close(ended)
    for path in Path(connection).parent.iterdir():
        path.unlink()
    Path(connection).parent.rmdir()
