"""A receiver behind a NAT hears a streamer over TLS and over QUIC, and nobody of them is root."""

import os
import subprocess
import sys

import pytest
from peers.likeness import likeness

from labkit.lab.sources import speech
from labkit.live.link import LabNetwork
from labkit.live.wav import WavWriter
from labkit.words.errors import MissingCapability

pytestmark = [pytest.mark.live, pytest.mark.net, pytest.mark.peer]

LABKIT = ["-c", "import sys; from labkit.cli.labkit import main; sys.exit(main())"]
PREPARE = (
    "labkit certs make --name {bob} && labkit token secret secret && "
    "labkit token issue alice --secret secret > token && echo {bob}"
)
SECONDS = 4
GOOD = 0.9
"""STOI that shows the same words."""


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
def labkit(request, tmp_path):
    """Runs the command as an ordinary user, who may be we; and the folder in which he is."""
    if os.geteuid() == 0:
        run, folder = request.getfixturevalue("ordinary")
    else:
        folder = tmp_path

        def run(*words):
            options = {"cwd": folder, "capture_output": True, "text": True, "timeout": 50}
            return subprocess.run([sys.executable, *words], **options)

    def labkit(*words):
        done = run(*LABKIT, *words)
        assert done.returncode == 0, done.stderr
        return done.stdout

    return labkit, folder


def sources(capture):
    """Where the packets of a capture came from, of those that belong to the call."""
    read = ["tshark", "-r", capture, "-Y", "(tcp.port == 5000 || udp.port == 5000) && !icmp"]
    told = subprocess.run(
        [*read, "-T", "fields", "-e", "ip.src"], capture_output=True, text=True, check=True
    )
    return set(told.stdout.split())


@pytest.mark.parametrize("proto", ["wss", "quic"])
def test_a_receiver_behind_a_nat_plays(proto, need, labkit, tmp_path, record_property):
    need("tshark")
    run, folder = labkit
    bob = run("net", "run", "--nat", "--", "sh", "-c", PREPARE).split()[-1]
    at_alice = run(
        "net", "run", "--nat", "--capture", "call.pcapng",
        "--bob", f"streamer serve --proto {proto} --host {{bob}} --source speech --secret secret",
        "--", "sh", "-c",
        "for attempt in 1 2 3 4; do "  # a streamer may take longer than alice waits for it
        f"receiver connect --proto {proto} --addr {{bob}}:5000 --token token "
        f"--buffer-ms 300 --out heard.wav --no-sound --seconds {SECONDS} 2>&1 && break; done; "
        "ip -4 -o address show",
    )  # fmt: skip
    assert "joined" in at_alice
    said = tmp_path / "said.wav"
    with WavWriter(said, 48_000, 1) as out:
        out.write(speech().samples[: SECONDS * 48_000])
    found = likeness(said, folder / "heard.wav")
    record_property("stoi", found.stoi)
    assert found.seconds > 2.5, (found, at_alice)
    assert found.stoi > GOOD, (found, at_alice)
    seen = sources(folder / "call.pcapng")
    assert bob in seen
    (public,) = seen - {bob}
    assert public not in at_alice.split("played")[-1], "alice has the address that is seen outside"
