"""What one writes first: no buffer at all.

The frame to play is the newest that has come since the last turn; if none came there is silence.
It is not a straw man: it is what "just play what arrives" means, and on a perfect network it has
the least delay of all.
"""

from labkit.words.packet import Packet


class NaiveBuffer:
    """Plays what has just come."""

    def __init__(self) -> None:
        self._newest: Packet | None = None

    def __len__(self) -> int:
        return 0 if self._newest is None else 1

    def push(self, packet: Packet, now: int) -> None:
        """Keep this one; whatever was there is gone."""
        self._newest = packet

    def pull(self, now: int) -> Packet | None:
        """What came last, once."""
        packet, self._newest = self._newest, None
        return packet
