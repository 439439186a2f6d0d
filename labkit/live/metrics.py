"""Figures as Prometheus metrics.

What is exposed is said once, in tables: the field of `labkit.core.figures`, the name, the kind, the
unit. `families` writes by them, and `labkit.live.metricsreader` reads by them. The rules are those
of Prometheus:

- a name says what is counted and in which unit: seconds, bytes, never milliseconds or bits
- what only grows is a counter and ends in `_total`; what may shrink is a gauge. RFC 3550's loss may
  shrink, when a packet that was missing comes after all
- what is not known is left out, and is not 0
- labels have few values. `client` names those who listen now and nobody else; `reason` has at most
  `MAX_REASONS` values. A label is never a token

Formats: Prometheus text format 0.0.4 and OpenMetrics 1.0, both by `prometheus_client`, without its
global registry. This module knows no HTTP and no clock.
"""

from collections.abc import Callable, Iterator, Sequence
from enum import Enum
from typing import Any, Final, NamedTuple, TypeAlias

from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
)
from prometheus_client.metrics_core import Metric as Family
from prometheus_client.registry import Collector

from labkit.core.figures import (
    ClientFigures,
    Distribution,
    ReceiverFigures,
    ServerFigures,
)
from labkit.words.units import NS_PER_S

Figures: TypeAlias = ReceiverFigures | ServerFigures

MAX_REASONS: Final = 32
"""Reasons of refusal that are told apart; what is beyond them is "other"."""
MAX_LABEL: Final = 120
"""Characters of a label's value."""
OTHER: Final = "other"


class Kind(Enum):
    """A counter only grows; a gauge may shrink."""

    COUNTER = CounterMetricFamily
    GAUGE = GaugeMetricFamily


class Unit(Enum):
    """What a figure is divided by to get a base unit of Prometheus."""

    ONE = 1
    SECONDS = NS_PER_S
    BYTES = 8  # of bits


class Metric(NamedTuple):
    """One line of a table."""

    field: str
    name: str
    kind: Kind
    unit: Unit
    help: str

    @property
    def exposed(self) -> str:
        """The name of its sample."""
        return self.name + "_total" * (self.kind is Kind.COUNTER)


_C, _G = Kind.COUNTER, Kind.GAUGE
_ONE, _S, _B = Unit.ONE, Unit.SECONDS, Unit.BYTES

# fmt: off
RECEIVER: Final = tuple(Metric(f, f"labkit_receiver_{n}", k, u, h) for f, n, k, u, h in (
    ("received", "packets", _C, _ONE, "Packets received, duplicates included."),
    ("received_octets", "payload_bytes", _C, _ONE, "Bytes of payload in them."),
    ("expected", "expected_packets", _C, _ONE, "Packets sent, by their sequence numbers."),
    ("lost", "lost_packets", _G, _ONE, "Packets that have not come, so far."),
    ("loss", "loss_ratio", _G, _ONE, "Their share since the start, 0 to 1."),
    ("duplicates", "duplicate_packets", _C, _ONE, "Packets that came again."),
    ("reordered", "reordered_packets", _C, _ONE, "Packets that came after a later one (RFC 4737)."),
    ("late", "late_packets", _C, _ONE, "Packets that came after their turn."),
    ("played", "played_frames", _C, _ONE, "Frames played as they were sent."),
    ("concealed", "concealed_frames", _C, _ONE, "Frames made up for packets that were missing."),
    ("held", "held_frames", _C, _ONE, "Frames made up because the stream had not moved."),
    ("underruns", "underruns", _C, _ONE, "Times that the sound card found nothing."),
    ("refused", "refused", _C, _ONE, "Datagrams or frames unreadable or not authentic."),
    ("jitter", "jitter_seconds", _G, _S, "Interarrival jitter (RFC 3550 section 6.4.1)."),
    ("depth", "buffer_depth_seconds", _G, _S, "Sound that waits in the jitter buffer."),
    ("target", "buffer_target_seconds", _G, _S, "What the delay policy wants the depth to be."),
    ("bitrate", "payload_bytes_per_second", _G, _B, "Payload received, over the last second."),
    ("round_trip", "round_trip_seconds", _G, _S, "Round-trip time."),
))
SERVER: Final = tuple(Metric(f, f"labkit_server_{n}", k, u, h) for f, n, k, u, h in (
    ("listening", "listeners", _G, _ONE, "Listeners that have joined."),
    ("max_clients", "max_listeners", _G, _ONE, "Listeners that there is room for."),
    ("bitrate", "payload_bytes_per_second", _G, _B, "One copy of the sound, over the last second."),
    ("refused_clients", "turned_away", _C, _ONE, "Listeners that came when there was no room."),
))
CLIENT: Final = tuple(Metric(f, f"labkit_client_{n}", k, u, h) for f, n, k, u, h in (
    ("sent", "sent_packets", _C, _ONE, "Packets sent to a listener."),
    ("sent_octets", "sent_payload_bytes", _C, _ONE, "Bytes of payload in them."),
    ("dropped", "dropped_packets", _C, _ONE, "Packets that a listener's queue had no room for."),
    ("queued", "queue_packets", _G, _ONE, "Packets that wait for the wire."),
    ("queue_limit", "queue_limit_packets", _G, _ONE, "How many may wait."),
    ("lag", "queue_lag_seconds", _G, _S, "How long the oldest of them has waited."),
    ("bitrate", "rendition_bytes_per_second", _G, _B, "The rendition that a listener gets."),
    ("loss", "loss_ratio", _G, _ONE, "What a listener lost lately, by its own report."),
    ("jitter", "jitter_seconds", _G, _S, "Interarrival jitter, by a listener's own report."),
    ("round_trip", "round_trip_seconds", _G, _S, "Round-trip time to a listener."),
))
# fmt: on
MOUTH_TO_EAR: Final = "labkit_receiver_mouth_to_ear_seconds"
LATEST: Final = "labkit_receiver_latest_mouth_to_ear_seconds"
INTERARRIVAL: Final = "labkit_receiver_interarrival_seconds"
REFUSED: Final = "labkit_server_refused"


class FiguresCollector(Collector):
    """Asks for figures when somebody asks for metrics; may be put into any registry."""

    def __init__(self, figures: Callable[[], Figures]) -> None:
        self._figures = figures

    def collect(self) -> Iterator[Family]:
        """The families of this moment, and not of when they are read."""
        return families(self._figures())

    def describe(self) -> Sequence[Family]:
        """Nothing in advance: being registered asks for no figures."""
        return ()


# Out ----------------------------------------------------------------------------------------------


def families(figures: Figures) -> Iterator[Family]:
    """Every metric family of these figures."""
    if isinstance(figures, ServerFigures):
        yield from _table(SERVER, [((), figures)])
        yield _refusals(figures.refused)
        yield from _table(CLIENT, [((n,), c) for n, c in _named(figures.clients)], ("client",))
        return
    yield from _table(RECEIVER, [((), figures)])
    latest = GaugeMetricFamily(
        LATEST, "Mouth-to-ear delay of the packet played last (ITU-T G.114).", labels=["basis"]
    )
    if figures.mouth_to_ear is not None and figures.mouth_to_ear_by is not None:
        latest.add_metric([figures.mouth_to_ear_by.value], figures.mouth_to_ear / NS_PER_S)
    yield latest
    yield _histogram(MOUTH_TO_EAR, "From the mouth to the ear.", figures.mouth_to_ears)
    yield _histogram(INTERARRIVAL, "Between two packets.", figures.interarrivals)


def _table(
    table: Sequence[Metric],
    rows: Sequence[tuple[tuple[str, ...], Any]],
    labels: tuple[str, ...] = (),
) -> Iterator[Family]:
    for metric in table:
        family = metric.kind.value(metric.name, metric.help, labels=labels)
        for values, figures in rows:
            value = getattr(figures, metric.field)
            if value is not None:
                family.add_metric(values, value / metric.unit.value)
        yield family


def _refusals(refused: dict[str, int]) -> Family:
    family = CounterMetricFamily(REFUSED, "What was refused, by reason.", labels=["reason"])
    reasons: dict[str, int] = {}
    for reason, count in refused.items():
        known = reason[:MAX_LABEL] if len(reasons) < MAX_REASONS - 1 else OTHER
        reasons[known] = reasons.get(known, 0) + count
    for reason, count in reasons.items():
        family.add_metric([reason], count)
    return family


def _named(clients: Sequence[ClientFigures]) -> Iterator[tuple[str, ClientFigures]]:
    """Each with a name of its own: two equal series would make Prometheus refuse the whole page."""
    taken: dict[str, int] = {}
    for client in clients:
        name = client.name[:MAX_LABEL]
        taken[name] = again = taken.get(name, 0) + 1
        yield (name if again == 1 else f"{name} #{again}"), client


def _histogram(name: str, what: str, distribution: Distribution) -> Family:
    below = 0
    buckets: list[tuple[str, float]] = []
    bounds = [repr(bound / NS_PER_S) for bound in distribution.bounds]
    for bound, count in zip([*bounds, "+Inf"], distribution.counts, strict=True):
        below += count
        buckets.append((bound, below))
    return HistogramMetricFamily(name, what, buckets, distribution.total / NS_PER_S)
