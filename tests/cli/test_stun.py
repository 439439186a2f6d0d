"""`labkit stun` as a person uses it."""

import re
import socket
import threading
from functools import partial

import pytest
from programs import Program, run

from labkit.cli import labkit
from labkit.core import stunclient
from labkit.wire.stun import Attribute, Class, ErrorCode, Message, pack, unpack
from labkit.words.units import ms

pytestmark = pytest.mark.live


def test_a_server_and_who_asks_it():
    with Program("labkit stun serve --host 127.0.0.1 --port 0") as server:
        port = server.wait_for(r"127\.0\.0\.1:(\d+)")[1]
        asked = run("labkit", "stun", "ask", f"localhost:{port}")
        assert asked.process.returncode == 0, asked.output
        seen, here = (re.search(r"127\.0\.0\.1:\d+", line)[0] for line in asked.lines)
        assert seen == here
        assert asked.lines[1].endswith("no NAT between")
        server.interrupt()
        assert server.finish() == 0
    assert server.lines[-1] == "1 requests answered, 0 datagrams were none"


@pytest.fixture
def impatient(monkeypatch):
    """Two requests within a tenth of a second."""
    retry = stunclient.Retry(rto=ms(30), rc=2, rm=2)
    monkeypatch.setattr(stunclient, "StunClient", partial(stunclient.StunClient, retry=retry))


def test_nobody_answers(capsys, impatient):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
        silent.bind(("127.0.0.1", 0))
        port = silent.getsockname()[1]
        assert labkit.main(["stun", "ask", f"127.0.0.1:{port}"]) == 2
        said = capsys.readouterr().err
        assert "no answer to 2 requests" in said
        assert "try: another STUN server" in said
        first, second = silent.recv(100), silent.recv(100)
        assert first == second
        assert unpack(first) == Message(Class.REQUEST, unpack(first).transaction)


def test_a_server_that_refuses_is_quoted(capsys):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as grumpy:
        grumpy.bind(("127.0.0.1", 0))

        def refuse():
            data, who = grumpy.recvfrom(100)
            said = ((Attribute.ERROR_CODE, ErrorCode(500, "Server Error")),)
            grumpy.sendto(pack(Message(Class.ERROR, unpack(data).transaction, said)), who)

        thread = threading.Thread(target=refuse)
        thread.start()
        assert labkit.main(["stun", "ask", f"127.0.0.1:{grumpy.getsockname()[1]}"]) == 2
        thread.join()
    assert "refused: 500 Server Error" in capsys.readouterr().err


def test_a_busy_port_is_named(capsys):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        other.bind(("127.0.0.1", 0))
        port = other.getsockname()[1]
        assert labkit.main(["stun", "serve", "--host", "127.0.0.1", "--port", str(port)]) == 2
    assert f"cannot receive on UDP 127.0.0.1:{port}" in capsys.readouterr().err


def test_an_unknown_host_is_named(capsys):
    assert labkit.main(["stun", "ask", "nowhere.invalid:3478"]) == 2
    assert "there is no host 'nowhere.invalid'" in capsys.readouterr().err
