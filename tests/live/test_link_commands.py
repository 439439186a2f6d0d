"""`labkit net run`, `up`, `shell`, `down`, as somebody types them; and all of it without root."""

import os
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from labkit.cli.netlab import fill_in
from labkit.live.link import LabNetwork
from labkit.live.link.support import explain
from labkit.words.errors import MissingCapability

pytestmark = [pytest.mark.live, pytest.mark.net]

ROOT = Path(__file__).parents[2]
LABKIT = [sys.executable, "-c", "import sys; from labkit.cli.labkit import main; sys.exit(main())"]


@pytest.fixture(scope="module", autouse=True)
def _labs_work():
    """Skip at home where there can be no lab, fail in CI."""
    try:
        LabNetwork().up().down()
    except MissingCapability as error:
        if os.environ.get("CI") == "true":
            raise
        pytest.skip(str(error))


@pytest.fixture
def labkit(tmp_path):
    """Runs the command with a runtime folder of its own."""
    environment = os.environ | {"XDG_RUNTIME_DIR": str(tmp_path), "PYTHONPATH": str(ROOT)}

    def run(*words, stdin=None):
        return subprocess.run(
            [*LABKIT, *words],
            env=environment,
            input=stdin,
            capture_output=True,
            text=True,
            timeout=50,
        )

    return run


def test_run_gives_the_code_and_the_output_of_the_command(labkit):
    done = labkit("net", "run", "--", "sh", "-c", "echo $0 {bob} $BOB; exit 5", "{alice}")
    assert (done.returncode, done.stdout) == (5, "10.9.0.1 10.9.0.2 10.9.0.2\n")


def test_run_waits_for_what_bob_serves_and_says_what_the_link_did(labkit, tmp_path):
    (tmp_path / "page").write_text("from bob")
    done = labkit(
        "net", "run", "--profile", "lan", "--router", "--capture", str(tmp_path / "x.pcapng"),
        "--bob", f"{sys.executable} -m http.server --bind {{bob}} --directory {tmp_path} 8000",
        "--", sys.executable, "-c",
        "import sys, urllib.request as r; print(r.urlopen(sys.argv[1]).read().decode())",
        "http://{bob}:8000/page",
    )  # fmt: skip
    assert done.stdout == "from bob\n", done.stderr
    assert "router → bob: " in done.stderr
    assert (tmp_path / "x.pcapng").stat().st_size > 1000


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--bob", "false", "--", "true"], "'false' ended at once with 1"),
        (["--on", "carol", "true", "--", "true"], "there is no host 'carol'"),
        (["--profile", "voip10", "--", "true"], "no network profile called 'voip10'"),
        (["--dscp", "--", "true"], "dscp needs a rate"),
    ],
)
def test_run_refuses_in_a_line(labkit, words, said):
    done = labkit("net", "run", *words)
    assert done.returncode == 2
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_a_program_that_is_not_there_is_127_as_in_a_shell(labkit):
    assert labkit("net", "run", "--", "labkit-nothing").returncode == 127


def test_ctrl_c_ends_the_command_and_the_lab(tmp_path):
    ready = tmp_path / "ready"
    script = f"trap 'echo interrupted; exit 7' INT; touch {ready}; while :; do sleep 0.05; done"
    terminal = subprocess.Popen(
        [*LABKIT, "net", "run", "--bob", "sleep 1000", "--", "bash", "-c", script],
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    deadline = time.monotonic() + 20
    while not ready.exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    os.killpg(terminal.pid, signal.SIGINT)  # what a terminal does
    said, _ = terminal.communicate(timeout=20)
    assert (said, terminal.returncode) == ("interrupted\n", 7)


def test_up_shell_down(labkit):
    assert labkit("net", "down").stderr.startswith("labkit: no lab network is up")
    try:
        up = labkit("net", "up", "--profile", "wifi", "--hosts", "alice,bob,carol")
        assert up.stdout.split()[:4] == ["alice", "10.9.1.1", "bob", "10.9.2.1"]
        assert "is up already" in labkit("net", "up").stderr
        carol = labkit("net", "shell", "carol", "--", "sh", "-c", "echo {alice} $BOB; exit 3")
        assert (carol.returncode, carol.stdout) == (3, "10.9.1.1 10.9.2.1\n")
        devices = labkit("net", "shell", stdin="cat /proc/net/dev\n").stdout
        assert "lab0:" in devices
        assert "no host 'mallory'" in labkit("net", "shell", "mallory").stderr
    finally:
        down = labkit("net", "down")
    assert down.returncode == 0
    assert labkit("net", "shell").returncode == 2


def test_only_known_hosts_are_filled_in():
    assert fill_in(["{alice}:5000", '{"json": 1}', "{bob}"], {"alice": "10.9.0.1"}) == [
        "10.9.0.1:5000",
        '{"json": 1}',
        "{bob}",
    ]


@pytest.mark.parametrize(
    ("error", "file", "said"),
    [
        (2, "/dev/net/tun", "modprobe tun"),
        (13, "/dev/net/tun", "chmod 666 /dev/net/tun"),
        (5, "/dev/net/tun", "does not work"),
        (1, "", "no namespaces for ordinary users"),
        (28, "", "no namespaces for ordinary users"),
        (30, "/proc/sys/net/ipv4/ip_forward", "docker run --privileged"),
        (12, "", "labkit doctor"),
    ],
)
def test_each_refusal_has_a_remedy_and_the_relay(error, file, said):
    answer = str(explain(error, "text", file))
    assert said in answer
    assert "labkit net relay" in answer


# --- without root -----------------------------------------------------------------------------

NOBODY = 65534
UNPRIVILEGED = """
import os, sys
from labkit.live.link import LabNetwork
assert os.geteuid() != 0, "this test is about an ordinary user"
with LabNetwork("voip-10", seed=7, router=True, nat=True, capture=sys.argv[1]) as net:
    me = net.alice.run(["id", "-u"], check=True).stdout.strip()
    seen = net.bob.start([sys.executable, "-c", '''
import socket
sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
sock.bind(("", 53))
print(sock.recvfrom(100)[1][0])
'''])
    net.bob.wait_for_port(53)
    to = net.bob.address
    net.alice.run(["bash", "-c", f"for i in {{1..6}}; do echo > /dev/udp/{to}/53; done"])
    assert seen.wait(10) == 0, seen.stderr.text
    print(me, seen.stdout.text.strip())
"""


@pytest.fixture
def ordinary():
    """Runs Python as nobody, who can read a copy of labkit and open a TUN device.

    Distributions let everybody open /dev/net/tun; where only root may, a device node that is open
    to all is laid over it, in a mount namespace that nobody else sees.
    """
    if os.geteuid() != 0:
        yield lambda *words: [sys.executable, *words]
        return
    with tempfile.TemporaryDirectory(prefix="labkit-") as name:
        folder = Path(name)
        shutil.copytree(ROOT / "labkit", folder / "labkit")
        shutil.copytree(ROOT / "netem", folder / "netem")
        for path in (folder, *folder.rglob("*")):
            path.chmod(0o755 if path.is_dir() else 0o644)
        tun = folder / "tun"
        os.mknod(tun, 0o666 | stat.S_IFCHR, os.makedev(10, 200))
        tun.chmod(0o666)
        (folder / "out").mkdir()
        os.chown(folder / "out", NOBODY, NOBODY)
        script = (
            f"mount --bind {tun} /dev/net/tun && cd {folder}/out && exec setpriv --reuid={NOBODY} "
            f'--regid={NOBODY} --clear-groups env -i PATH="$PATH" PYTHONPATH={folder} "$@"'
        )
        # The interpreter of these tests may lie in a home that nobody else can enter.
        python = "/usr/bin/python3"
        yield lambda *words: [
            *("unshare", "--mount", "--propagation", "private", "sh", "-c", script, "sh", python),
            *words,
        ]


def test_no_root_is_needed(need, ordinary, tmp_path):
    need("unshare", "setpriv")
    capture = "x.pcapng" if os.geteuid() == 0 else str(tmp_path / "x.pcapng")
    command = ordinary("-c", UNPRIVILEGED, capture)
    done = subprocess.run(command, capture_output=True, text=True, timeout=50)
    assert done.returncode == 0, done.stderr
    user = NOBODY if os.geteuid() == 0 else os.geteuid()
    assert done.stdout == f"{user} 10.9.1.1\n"


def test_a_shell_works_without_root_too(need, ordinary):
    need("unshare", "setpriv")
    main = "import sys; from labkit.cli.labkit import main; sys.exit(main())"
    command = ordinary(
        "-c",
        main,
        "net",
        "run",
        "--",
        "sh",
        "-c",
        "ip addr add 10.8.0.1 dev lo; id -u; ip -br addr show lo",
    )
    done = subprocess.run(command, capture_output=True, text=True, timeout=50)
    assert done.returncode == 0, done.stderr
    assert "10.8.0.1" in done.stdout
