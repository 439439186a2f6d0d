"""WebSocket, TLS, QUIC, SRTP and groups on the command line: who may listen, who may not."""

import json
import os
import re
import socket
import stat
import urllib.request
from contextlib import ExitStack

import pytest
from programs import Program, address_of, run, serving
from prometheus_client.parser import text_string_to_metric_families

from labkit.live.certs import Identity, make_folder
from labkit.live.secretfile import make_secret
from labkit.live.wav import read_wav

pytestmark = pytest.mark.live


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Certificates, another authority's, a secret, and tokens of every kind."""
    folder = tmp_path_factory.mktemp("secure")
    made: dict[str, Identity] = make_folder(folder / "certs", clients=["alice", "mallory"])
    make_folder(folder / "others", clients=["alice"])
    (folder / "alice.pin").write_text(made["alice"].fingerprint)
    for secret in ("secret", "other"):
        make_secret(folder / secret)
    for name, secret, hours in (("good", "secret", "1"), ("wrong", "other", "1")):
        told = run(
            "labkit", "token", "issue", "alice", "--secret", folder / secret, "--hours", hours
        )
        (folder / name).write_text(told.output)
    return folder


def free_port():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


def streamer(proto, folder, *more):
    return serving(proto, "speech", "--secret", folder / "secret", *more)


def receiver(proto, address, *more):
    words = ["receiver", "connect", "--proto", proto, "--addr", address, "--no-sound"]
    return Program([*words, "--seconds", 1, *more])


@pytest.mark.parametrize("proto", ["ws", "wss", "quic"])
def test_who_has_a_token_hears(proto, folder, tmp_path):
    secure = ["--certs", folder / "certs"] if proto != "ws" else []
    heard, keys = tmp_path / "heard.wav", tmp_path / "keys"
    with streamer(proto, folder, *secure) as server:
        server.wait_for("listen with")
        address = address_of(server).replace("127.0.0.1", "localhost")
        listening = [*secure, "--token", folder / "good", "--out", heard]
        listening += ["--keys", keys] if secure else []
        with receiver(proto, address, *listening) as client:
            assert client.finish() == 0, client.output
    samples, _ = read_wav(heard)
    assert abs(samples).max() > 1000
    if secure:  # a key log in the format of NSS, for its owner alone
        assert {"CLIENT_TRAFFIC_SECRET_0", "SERVER_TRAFFIC_SECRET_0"} <= set(
            keys.read_text().split()
        )
        assert os.name != "posix" or stat.S_IMODE(keys.stat().st_mode) == 0o600


CERTIFICATE = "try: --certs with its authority, --server-name as it is called, --client NAME"
REFUSED = {
    "no token": ([], "a token is needed, and none was given"),
    "a wrong token": (["--token", "wrong"], "not made with this secret"),
    "a name that it has not": (["--token", "good", "--server-name", "example.org"], CERTIFICATE),
    "an authority that we do not trust": (["--token", "good", "--certs", "others"], CERTIFICATE),
    "no certificate": (["--token", "good", "--client", ""], CERTIFICATE),
    "one that is not pinned": (["--token", "good", "--client", "mallory"], CERTIFICATE),
}


@pytest.mark.parametrize("proto", ["wss", "quic"])
def test_who_is_not_wanted_is_told_why_and_counted(proto, folder, tmp_path):
    """All of them at once, at one streamer that serves alice alone; the metrics count each."""
    trace = tmp_path / "trace.jsonl"
    guarded = ["--certs", folder / "certs", "--pin", (folder / "alice.pin").read_text()]
    with ExitStack() as stack:
        watched = ["--metrics", 0, "--trace", trace]
        server = stack.enter_context(streamer(proto, folder, "--loop", *guarded, *watched))
        page = server.wait_for(r"metrics on (\S+)")[1]
        server.wait_for("listen with")
        address = address_of(server).replace("127.0.0.1", "localhost")
        ours = ["--certs", folder / "certs", "--client", "alice", "--out", tmp_path / "x.wav"]
        clients = {}
        for name, (options, _) in REFUSED.items():
            files = (word and (folder / word).exists() for word in options)
            words = [folder / w if file else w for w, file in zip(options, files, strict=True)]
            clients[name] = stack.enter_context(receiver(proto, address, *ours, *words))
        for name, (_, said) in REFUSED.items():
            assert clients[name].finish() == 2, name
            assert said in clients[name].output
            assert "Traceback" not in clients[name].output
        with urllib.request.urlopen(page, timeout=5) as answer:
            families = {f.name: f for f in text_string_to_metric_families(answer.read().decode())}
    refused = {s.labels["reason"]: s.value for s in families["labkit_server_refused"].samples}
    assert refused["missing"] == refused["wrong"] == 1
    assert sum(refused.values()) >= len(REFUSED)
    lines = [json.loads(line) for line in trace.read_text().splitlines()]
    assert {"server", "refused"} <= {line["what"] for line in lines}
    secrets = [(folder / name).read_text().strip() for name in ("secret", "good", "wrong")]
    told = server.output + trace.read_text()
    assert not any(secret in told for secret in secrets)


@pytest.mark.parametrize(
    ("command", "remedy"),
    [
        ("streamer serve --proto wss --certs nowhere --source tone", "labkit certs make"),
        ("streamer serve --proto tcp --secret x --source tone", "--proto wss"),
        ("streamer serve --proto ws --secret nowhere --source tone", "labkit token secret"),
        ("receiver connect --proto quic --addr localhost:1 --certs nowhere", "labkit certs make"),
        ("receiver connect --proto udp --addr localhost:1 --token x", "--proto wss"),
    ],
)
def test_what_is_missing_is_said_before_anything_is_sent(command, remedy, tmp_path):
    more = ["--out", tmp_path / "x.wav", "--no-sound"] if command.startswith("receiver") else []
    program = run(*command.split(), *more)
    assert program.process.returncode == 2
    assert remedy in program.output


def test_a_token_in_a_file_is_for_its_owner(folder, tmp_path):
    words = ["labkit", "token", "issue", "bob", "--secret", folder / "secret"]
    told = run(*words, "--out", tmp_path / "token")
    assert told.process.returncode == 0
    token = (tmp_path / "token").read_text().strip()
    assert token.count(".") == 1
    assert token not in told.output
    assert os.name != "posix" or stat.S_IMODE((tmp_path / "token").stat().st_mode) == 0o600
    again = run(*words, "--out", tmp_path / "token")
    assert (again.process.returncode, "already there" in again.output) == (2, True)


def test_srtp_by_a_handshake_with_the_right_one(folder, tmp_path):
    """Whoever has the fingerprint, or the description with it, hears; a wrong one is refused."""
    described = tmp_path / "voice.sdp"
    with serving("rtp", "speech", "--loop", "--srtp", "dtls", "--sdp", described) as server:
        pin = server.wait_for(r"--pin ([0-9a-f]{64})")[1]
        server.wait_for("SDP in")
        address = address_of(server)
        wrong = (folder / "alice.pin").read_text()
        ways = {"pin": ["--pin", pin], "sdp": ["--sdp", described], "wrong": ["--pin", wrong]}
        with ExitStack() as stack:
            clients = {
                name: stack.enter_context(
                    receiver("rtp", address, *way, "--out", tmp_path / f"{name}.wav")
                )
                for name, way in ways.items()
            }
            codes = {name: client.finish() for name, client in clients.items()}
            assert codes == {"pin": 0, "sdp": 0, "wrong": 2}
            assert "the certificate is not the one that" in clients["wrong"].output
    for name in ("pin", "sdp"):
        samples, _ = read_wav(tmp_path / f"{name}.wav")
        assert abs(samples).max() > 1000


def test_srtp_with_the_key_in_a_file_for_its_owner(tmp_path):
    described, heard = tmp_path / "voice.sdp", tmp_path / "heard.wav"
    port = free_port()
    push = ["--to", f"127.0.0.1:{port}", "--srtp", "sdes", "--sdp", described]
    with serving("rtp", "speech", "--loop", *push) as server:
        server.wait_for("SDP in")
        assert described.stat().st_mode & 0o077 == 0
        key = re.search(r"inline:(\S+)", described.read_text())[1]
        words = ["--proto", "rtp", "--sdp", described, "--out", heard, "--no-sound"]
        with Program(["receiver", "connect", *words, "--seconds", 1]) as client:
            assert client.finish() == 0, client.output
        assert key not in server.output + client.output
    samples, _ = read_wav(heard)
    assert abs(samples).max() > 1000


def test_listeners_of_a_group_come_and_go(tmp_path):
    """One leaves; the other hears on until the streamer is stopped."""
    group = f"239.255.77.1:{free_port()}"
    ours = ["--interface", "127.0.0.1", "--out"]
    with serving("rtp", "speech", "--loop", "--to", group) as server:
        server.wait_for("serving")
        with ExitStack() as stack:
            stays = [*ours, tmp_path / "stays.wav", "--no-sound"]
            words = ["receiver", "connect", "--proto", "rtp", "--addr", group]
            long = stack.enter_context(Program([*words, *stays]))
            long.wait_for("joined")
            short = stack.enter_context(receiver("rtp", group, *ours, tmp_path / "leaves.wav"))
            assert short.finish() == 0, short.output
            server.interrupt()
            assert server.finish() == 0
            assert long.finish() == 0, long.output
    sizes = [len(read_wav(tmp_path / f"{name}.wav")[0]) for name in ("stays", "leaves")]
    assert sizes[0] > sizes[1] > 24_000


def test_a_voice_in_three_bitrates(tmp_path):
    """Who reports is given what its line carries: on loopback, all of it in the end."""
    heard = tmp_path / "heard.wav"
    with serving("rtp", "speech", "--loop", "--simulcast", "--metrics", 0) as server:
        page = server.wait_for(r"metrics on (\S+)")[1]
        server.wait_for("--report-every 0.5")
        words = ["--report-every", 0.5, "--out", heard]
        with receiver("rtp", address_of(server), *words) as client:
            client.wait_for("RTCP sent")
            rate = rendition(page)
            assert client.finish() == 0, client.output
    assert rate in (16_000, 32_000, 64_000)


def rendition(page):
    """The bits a second that the only listener gets, by the metrics."""
    with urllib.request.urlopen(page, timeout=5) as answer:
        families = text_string_to_metric_families(answer.read().decode())
    (value,) = (
        sample.value
        for family in families
        for sample in family.samples
        if sample.name == "labkit_client_rendition_bytes_per_second"
    )
    return value * 8
