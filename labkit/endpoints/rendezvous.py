"""Where two hosts that cannot reach each other yet leave their addresses (week 9).

A host sends the name of a room and its own address, again and again; as soon as somebody else is in
the room, it is told that one's. Both are said in STUN's words: a Binding request with USERNAME and
XOR-PEER-ADDRESS, and a success response with the other's XOR-PEER-ADDRESS, or with nothing.

Two fit into a room, the third is refused (403), and who has not asked for some seconds has left. An
answer is never larger than its request. Who knows the name of a room can be the other one in it: a
rendezvous introduces, and vouches for nobody.

This module knows no socket and does not check that an address belongs to who says so.
"""

from typing import Final

from labkit.endpoints.stunserver import read_request
from labkit.wire.stun import Attribute, Class, Endpoint, ErrorCode, Message, pack
from labkit.words.machine import Address, Datagram, Event
from labkit.words.units import seconds

STAY: Final = seconds(10)
"""How long who does not ask again is still there; askings come each half second."""
MOST_ROOMS: Final = 1000
FULL: Final = ErrorCode(403)
"""Forbidden: the room has two, or the house has no room."""

Room = dict[Address, tuple[Endpoint, int]]
"""Who asked: the address that it gave, and when."""


class Rendezvous:
    """Tells two in a room about each other. A datagram machine that never wants a tick."""

    def __init__(self) -> None:
        self.refused = 0
        """Datagrams that made no sense here."""
        self._rooms: dict[str, Room] = {}
        self._out: list[Datagram] = []

    def receive_datagram(self, data: bytes, source: Address, now: int) -> None:
        """Somebody asks."""
        request = read_request(data)
        name = request and request.get(Attribute.USERNAME)
        address = request and request.get(Attribute.XOR_PEER_ADDRESS)
        if request is None or not name or address is None:
            self.refused += 1
            return
        room = self._enter(name, source, address, now)
        if room is None:
            self._answer(request, source, Class.ERROR, (Attribute.ERROR_CODE, FULL))
            return
        others = [given for who, (given, _) in room.items() if who != source]
        said = [(Attribute.XOR_PEER_ADDRESS, other) for other in others]
        self._answer(request, source, Class.SUCCESS, *said)

    def _enter(self, name: str, who: Address, address: Endpoint, now: int) -> Room | None:
        """The room with `who` in it; None if there is no place."""
        room = self._still_there(self._rooms.get(name, {}), now)
        if who not in room and len(room) == 2:
            return None
        if name not in self._rooms and len(self._rooms) >= MOST_ROOMS:
            self._sweep(now)
            if len(self._rooms) >= MOST_ROOMS:
                return None
        room[who] = address, now
        self._rooms[name] = room
        return room

    def _sweep(self, now: int) -> None:
        """Close the rooms that everybody has left."""
        rooms = {name: self._still_there(room, now) for name, room in self._rooms.items()}
        self._rooms = {name: room for name, room in rooms.items() if room}

    @staticmethod
    def _still_there(room: Room, now: int) -> Room:
        return {who: said for who, said in room.items() if now - said[1] <= STAY}

    def _answer(
        self, request: Message, to: Address, kind: Class, *said: tuple[int, object]
    ) -> None:
        self._out.append(Datagram(pack(Message(kind, request.transaction, said)), to))

    def tick(self, now: int) -> None:
        """Nothing is ever due: who has left is noticed when somebody comes."""

    def deadline(self) -> int | None:
        """Never."""
        return None

    def transmits(self) -> list[Datagram]:
        """Answers."""
        out, self._out = self._out, []
        return out

    def events(self) -> list[Event]:
        """There are none."""
        return []
