"""WebSocket, TLS and QUIC on the command line: who may listen, and what the others are told."""

import json
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


def streamer(proto, folder, *more):
    return serving(proto, "speech", "--secret", folder / "secret", *more)


def receiver(proto, address, *more):
    words = ["receiver", "connect", "--proto", proto, "--addr", address, "--no-sound"]
    return Program([*words, "--seconds", 1, *more])


@pytest.mark.parametrize("proto", ["ws", "wss", "quic"])
def test_who_has_a_token_hears(proto, folder, tmp_path):
    secure = ["--certs", folder / "certs"] if proto != "ws" else []
    heard = tmp_path / "heard.wav"
    with streamer(proto, folder, *secure) as server:
        server.wait_for("listen with")
        address = address_of(server).replace("127.0.0.1", "localhost")
        listening = [*secure, "--token", folder / "good", "--out", heard]
        with receiver(proto, address, *listening) as client:
            assert client.finish() == 0, client.output
    samples, _ = read_wav(heard)
    assert abs(samples).max() > 1000


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
        ("streamer serve --proto tcp --secret x --source tone", "--proto ws"),
        ("streamer serve --proto ws --secret nowhere --source tone", "labkit token secret"),
        ("receiver connect --proto quic --addr localhost:1 --certs nowhere", "labkit certs make"),
        ("receiver connect --proto udp --addr localhost:1 --token x", "--proto ws"),
    ],
)
def test_what_is_missing_is_said_before_anything_is_sent(command, remedy, tmp_path):
    more = ["--out", tmp_path / "x.wav", "--no-sound"] if command.startswith("receiver") else []
    program = run(*command.split(), *more)
    assert program.process.returncode == 2
    assert remedy in program.output
