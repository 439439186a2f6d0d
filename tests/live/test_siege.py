"""Every transport under attack for two seconds, and a listener who hears all of it.

The commands themselves run here, with the attacker in one event loop, so that nothing waits for
processes to start. `make siege` does the same with processes for ten minutes, and watches their
memory: docs/hostility.md.
"""

import asyncio
import re
import socket
import time
import urllib.request
from random import Random

import pytest
from attacks import Target, besiege
from programs import LIMIT, free_port
from prometheus_client.parser import text_string_to_metric_families

from labkit.cli import receiver, streamer
from labkit.cli.receiving import connect
from labkit.cli.serving import serve
from labkit.core.token import issue
from labkit.live.certs import make_folder
from labkit.live.secretfile import make_secret, read_secret

pytestmark = [
    pytest.mark.live,
    # Attackers are cut off in the middle of connecting, where asyncio forgets their sockets.
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]

PROTOS = ("tcp", "ws", "wss", "udp", "rtp", "quic")
WITH_CERTIFICATES, WITH_TOKENS = ("wss", "quic"), ("ws", "wss", "quic")


@pytest.fixture
def room(tmp_path):
    """Certificates, and a token that is good."""
    make_folder(tmp_path / "certs", names=["127.0.0.1"])
    make_secret(tmp_path / "secret")
    token = issue(read_secret(tmp_path / "secret"), "bob", int(time.time()) + 3600)
    (tmp_path / "token").write_text(token)
    return tmp_path


@pytest.fixture
def told(capsys):
    """Waits until something is said; what was found of it."""
    said = []

    async def wait(pattern):
        async with asyncio.timeout(LIMIT):
            while not (found := re.findall(pattern, "".join(said))):
                await asyncio.sleep(0.01)
                said.append(capsys.readouterr().err)
        return found[:1]

    return wait


def options(parser, command, proto, room, shown, *more):
    certs = ["--certs", room / "certs"] if proto in WITH_CERTIFICATES else []
    shows = [f"--{shown}", room / shown] if proto in WITH_TOKENS else []
    words = [command, "--proto", proto, *certs, *shows, *more]
    return parser.make_parser().parse_args([str(word) for word in words])


def refusals(port):
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=LIMIT) as answer:
        families = {f.name: f for f in text_string_to_metric_families(answer.read().decode())}
    return sum(sample.value for sample in families["labkit_server_refused"].samples)


@pytest.mark.parametrize("proto", PROTOS)
def test_under_attack_a_listener_hears_everything(proto, room, told):
    """Each attack half as often as in `make siege`; nothing is late by a second."""
    token = (room / "token").read_text()

    async def main():
        leave, end = asyncio.Event(), asyncio.Event()
        metrics = free_port(socket.SOCK_STREAM)
        async with asyncio.TaskGroup() as group:
            more = ["--port", 0, "--source", "speech", "--loop", "--metrics", metrics]
            group.create_task(serve(options(streamer, "serve", proto, room, "secret", *more), end))
            (port,) = await told(r"serving .* on 127.0.0.1:(\d+)")
            more = ["--addr", f"127.0.0.1:{port}", "--no-sound"]
            more += ["--buffer-ms", 1000, "--out", room / "heard.wav"]
            client = options(receiver, "connect", proto, room, "token", *more)
            heard = group.create_task(connect(client, leave))
            await told(r"receiving (\w+)")
            address = ("127.0.0.1", int(port))
            target = Target(proto, address, ("127.0.0.1", metrics), token, Random(1))
            attacks = await besiege(target, 2, scale=0.5)
            assert attacks.total() > 10, attacks
            assert await asyncio.to_thread(refusals, metrics) > 0, attacks
            leave.set()
            ((played, late, missing),) = await told(r"played (\d+) .*, (\d+) too.* (\d+) missing")
            assert await heard == 0
            end.set()
        return int(played), int(late), int(missing)

    played, late, missing = asyncio.run(main())
    assert (late, missing) == (0, 0)
    assert played > 40  # and a second was in the buffer
