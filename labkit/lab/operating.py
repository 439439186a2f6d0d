"""Somebody on the line, figures over time, and an alert: what week 12 plays with.

    attack("rtp"), attack("srtp")              the same call, the same intruder
    figures = observe(call)                    what a server of metrics would see, over time
    alerts(figures, "loss", above=5, wait=10)  a picture: the figure, and when somebody is woken
    page = await scrape(metrics.url)           the text that Prometheus reads

The intruder sits where she sees and sends every packet. For two seconds she puts the sound of two
other seconds, which she has recorded, behind the headers of the packets that pass, and hers come
first. What she does needs no key; whether it is believed depends on who listens.
"""

import asyncio
import copy
from collections.abc import Sequence
from itertools import pairwise
from typing import Any, Final, NamedTuple
from urllib.request import urlopen

from labkit.core.figures import ReceiverFigures
from labkit.endpoints.receiver import Receiver
from labkit.endpoints.receiverfigures import receiver_figures
from labkit.endpoints.sender import Sender
from labkit.lab.call import Call
from labkit.lab.capstonelayers import Around
from labkit.lab.result import Result
from labkit.lab.show import GREY, LATE, LOST, PLAYED, Picture, canvas
from labkit.lab.sources import speech
from labkit.wire import rtcp
from labkit.words.errors import BadInput
from labkit.words.machine import Datagram
from labkit.words.units import seconds

HEADER: Final = 12
FROM, UNTIL = 150, 250
"""Packets for which hers are sent: from the third second on, for two."""
LONGEST_PAGE: Final = 1 << 20


class Intruder(Around):
    """Sends recorded sound behind the headers of now, and a copy of a packet now and then."""

    def __init__(self, inner: Any) -> None:
        super().__init__(inner)
        self._sound: list[bytes] = []
        self._whole: list[Datagram] = []

    def transmits(self) -> Sequence[Datagram]:
        """Hers, and then what was to leave."""
        out: list[Datagram] = []
        for datagram in self.inner.transmits():
            if not rtcp.is_rtcp(datagram.data):
                number = len(self._sound)
                if number < UNTIL:
                    self._sound.append(datagram.data[HEADER:])
                    self._whole.append(datagram)
                if FROM <= number < UNTIL:
                    forged = datagram.data[:HEADER] + self._sound[number - FROM]
                    out.append(Datagram(forged, datagram.destination))
                    if number % 10 == 0:
                        out.append(self._whole[number - 5])
            out.append(datagram)
        return out


class _Attacked(Call):
    def sender(self, wallclock_offset: int = 0) -> Sender:
        sender = super().sender(wallclock_offset)
        sender.session = Intruder(sender.session)
        return sender


class Attack(NamedTuple):
    """What came of it."""

    result: Result
    refused: dict[str, int]
    """Packets that were not believed, by reason."""


def attack(transport: str, link: Any = "lan", seed: int = 7) -> Attack:
    """A call over "rtp" or "srtp" with somebody on the line."""
    if transport not in ("rtp", "srtp"):
        raise BadInput(f"no intruder knows {transport!r}", "rtp or srtp")
    receivers: list[Receiver] = []
    call = _Attacked(speech(7.5), link=link, transport=transport, seed=seed, name=transport)
    call.watch = receivers.append
    result = call.simulate()
    refusals = getattr(receivers[0].session, "refusals", {})
    return Attack(result, {str(reason): count for reason, count in refusals.items()})


# Figures ----------------------------------------------------------------------------------------


class Moment(NamedTuple):
    """What was known of a listener at one instant."""

    second: float
    loss: float | None
    """Percent lost since the moment before; None when nothing was to come."""
    late: float | None
    """Percent that came too late, likewise."""
    packets: float
    """A second."""
    jitter: float | None
    """In ms."""


def observe(call: Call, every: float = 1.0) -> list[Moment]:
    """Run in virtual time, and look at the listener's figures as Prometheus would."""
    seen: list[tuple[int, ReceiverFigures]] = []
    watched = copy.copy(call)
    watched.watch = lambda receiver: _look(receiver, seconds(every), seen)
    watched.simulate()
    moments = []
    for (then, before), (now, after) in pairwise(seen):
        expected = after.expected - before.expected
        passed = (now - then) / 1e9
        lost = max(0, after.lost - before.lost)
        moments.append(
            Moment(
                (now - seen[0][0]) / 1e9,
                100 * lost / expected if expected else None,
                100 * (after.late - before.late) / expected if expected else None,
                (after.received - before.received) / passed,
                None if after.jitter is None else after.jitter / 1e6,
            )
        )
    return moments


def _look(receiver: Receiver, every: int, seen: list[tuple[int, ReceiverFigures]]) -> None:
    """Whenever something happens, but not too often."""
    write, due = receiver.trace.entries.append, 0

    def add(entry: tuple[int, Any, int, int]) -> None:
        nonlocal due
        write(entry)
        if entry[0] >= due:
            due = entry[0] + every
            seen.append((entry[0], receiver_figures(receiver, entry[0])))

    receiver.trace.add = add


def alerts(
    moments: Sequence[Moment],
    figure: str,
    *,
    above: float | None = None,
    below: float | None = None,
    wait: float = 0.0,
) -> Picture:
    """A figure over time, and when a rule with this threshold and this `for` fires."""
    if (above is None) == (below is None) or figure not in Moment._fields[1:]:
        raise BadInput("a rule has a figure and one threshold", 'alerts(moments, "loss", above=5)')
    level = float(above if above is not None else below or 0.0)
    side = "above" if above is not None else "below"
    times = [moment.second for moment in moments]
    values = [getattr(moment, figure) for moment in moments]
    over = [v is not None and (v > level if above is not None else v < level) for v in values]
    since, fired = None, []
    for second, out in zip(times, over, strict=True):
        since = (second if since is None else since) if out else None
        fired.append(since is not None and second - since >= wait)
    with canvas(height=2.8) as (figure_, rows):
        axes = rows[0]
        shown = [float("nan") if value is None else value for value in values]
        axes.step(times, shown, where="post", color=PLAYED, lw=1.6, label=figure)
        axes.axhline(level, color=GREY, ls="--", lw=1, label="threshold")
        # Each look stands for the second up to the next.
        ends = [*times, times[-1] + 1] if times else []
        axes.step(ends[-2:], shown[-1:] * 2, where="post", color=PLAYED, lw=1.6)
        rows_ = ((over, LATE, f"{side} it, waiting"), (fired, LOST, "firing"))
        for row, colour, name in rows_:
            axes.fill_between([], [], color=colour, alpha=0.25, lw=0, label=name)
            for begin, end, marked in zip(ends, ends[1:], row, strict=False):
                if marked:
                    axes.axvspan(begin, end, color=colour, alpha=0.25, lw=0)
        axes.set_xlabel("seconds")
        axes.set_ylabel("ms" if figure == "jitter" else "1/s" if figure == "packets" else "%")
        axes.set_ylim(bottom=0)
        figure_.legend(loc="outside upper center", ncols=4)
    count = sum(b and not a for a, b in zip([False, *fired], fired, strict=False))
    times_ = "once" if count == 1 else f"{count} times"
    return Picture(figure_, f"{figure} over time; {side} {level:g} for {wait:g} s: fires {times_}")


async def scrape(url: str) -> str:
    """The page of a metrics endpoint on this machine."""
    if not url.startswith("http://127.0.0.1:"):
        raise BadInput("this reads metrics of this machine only", "metrics.url of an exporter")

    def read() -> str:
        with urlopen(url, timeout=10) as answer:  # noqa: S310  (http, and this machine)
            return str(answer.read(LONGEST_PAGE).decode())

    return await asyncio.to_thread(read)
