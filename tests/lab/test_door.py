"""Who comes to a door on real sockets: let in with a good token, told why with another."""

import asyncio
import secrets
import time

import pytest

from labkit.core.token import issue
from labkit.lab.door import guard, knock_at
from labkit.lab.sources import speech
from labkit.words.errors import BadInput

pytestmark = pytest.mark.live

SECRET = b"sixteen bytes or more"


@pytest.mark.parametrize("way", ["ws", "wss", "quic"])
def test_a_door(way):
    async def main():
        gate, now = guard(SECRET), int(time.time())
        knock = await knock_at(way, issue(SECRET, "alice", now + 60), gate, clip=speech(0.4))
        assert knock.came_in
        assert len(knock.samples) >= 0.4 * 48_000
        assert "came in" in str(knock)
        tokens = {
            "missing": None,
            "expired": issue(SECRET, "alice", now - 60),
            "wrong": issue(secrets.token_bytes(16), "alice", now + 60),
        }
        for token in tokens.values():
            knock = await knock_at(way, token, gate)
            assert not knock.came_in
            assert "token" in knock.why
            assert str(token) not in str(knock)
        assert gate.admitted == 1
        assert gate.refused == dict.fromkeys(tokens, 1)

    asyncio.run(main())


def test_bare_tcp_has_no_room_for_a_token():
    with pytest.raises(BadInput, match="ws or wss"):
        asyncio.run(knock_at("tcp", None, guard(SECRET)))
