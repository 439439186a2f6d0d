"""What is exposed, read by Prometheus's own parsers and by ours."""

import re
from contextlib import suppress
from random import Random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import generate_latest
from prometheus_client.openmetrics.exposition import generate_latest as openmetrics
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_open
from prometheus_client.parser import text_string_to_metric_families as parse_text

from labkit.codec import Blank
from labkit.core.delays import MOUTH_TO_EAR, Buckets
from labkit.core.figures import Basis, ClientFigures, ReceiverFigures, ServerFigures
from labkit.core.rtpsession import RtpSession
from labkit.core.session import Role
from labkit.core.source import Clip
from labkit.endpoints.receiver import Receiver
from labkit.endpoints.receiverfigures import receiver_figures
from labkit.endpoints.server import Server
from labkit.endpoints.voice import Voice
from labkit.live.metrics import MAX_REASONS, FiguresCollector
from labkit.live.metricsreader import read_figures
from labkit.sim.world import World
from labkit.words.errors import BadInput
from labkit.words.linkspec import LinkSpec
from labkit.words.profile import Profile
from labkit.words.units import ms, seconds


def distribution():
    buckets = Buckets(MOUTH_TO_EAR)
    for delay in (20, 100, 140, 3000):
        buckets.add(ms(delay))
    return buckets.snapshot()


RECEIVER = ReceiverFigures(
    received=1000, expected=1010, lost=12, duplicates=2, reordered=3, late=4, played=980,
    concealed=28, held=5, underruns=1, refused=6, received_octets=80_000, jitter=ms(3),
    depth=ms(60), target=ms(55), bitrate=32_000, round_trip=ms(41), mouth_to_ear=ms(135),
    mouth_to_ear_by=Basis.SENDER_REPORT, mouth_to_ears=distribution(),
)  # fmt: skip
SERVER = ServerFigures(
    listening=2,
    max_clients=64,
    bitrate=32_000,
    refused_clients=7,
    refused={"token expired": 3, 'a "quoted"\nreason': 1},
    clients=(
        ClientFigures("127.0.0.1:50000", 100, 8000, 3, 50, 2, ms(60), 32_000, 0.05, ms(2), ms(30)),
        ClientFigures("[::1]:50001", 100, 8000),
    ),
)


def write(figures, how=generate_latest):
    registry = CollectorRegistry()
    registry.register(FiguresCollector(lambda: figures))
    return how(registry).decode()


def samples(figures, how=generate_latest, parse=parse_text):
    families = parse(write(figures, how))
    return {(s.name, *sorted(s.labels.items())): s.value for f in families for s in f.samples}


@pytest.mark.parametrize(
    ("how", "parse"), [(generate_latest, parse_text), (openmetrics, parse_open)]
)
def test_prometheus_reads_base_units(how, parse):
    """Both formats, by the parsers of Prometheus's own client; OpenMetrics' is the stricter."""
    seen = samples(RECEIVER, how, parse)
    assert seen["labkit_receiver_packets_total",] == 1000
    assert seen["labkit_receiver_jitter_seconds",] == 0.003
    assert seen["labkit_receiver_payload_bytes_per_second",] == 4000
    assert seen["labkit_receiver_loss_ratio",] == pytest.approx(12 / 1010)
    assert seen["labkit_receiver_latest_mouth_to_ear_seconds", ("basis", "sender report")] == 0.135
    assert seen["labkit_receiver_mouth_to_ear_seconds_bucket", ("le", "0.15")] == 3
    assert seen["labkit_receiver_mouth_to_ear_seconds_bucket", ("le", "+Inf")] == 4
    assert seen["labkit_receiver_mouth_to_ear_seconds_sum",] == pytest.approx(3.26)
    seen = samples(SERVER, how, parse)
    assert seen["labkit_server_listeners",] == 2
    assert seen["labkit_client_queue_lag_seconds", ("client", "127.0.0.1:50000")] == 0.06
    assert seen["labkit_server_refused_total", ("reason", "token expired")] == 3


@pytest.mark.parametrize("figures", [RECEIVER, SERVER, ReceiverFigures(), ServerFigures()])
def test_names_follow_the_rules_of_prometheus(figures):
    """Base units, `_total` for counters and for nothing else, a sentence for each."""
    for family in parse_open(write(figures, openmetrics)):
        assert re.fullmatch(r"labkit_(receiver|server|client)_[a-z_]+", family.name)
        assert not re.search(r"_(ms|milliseconds|bits|kbit|percent|total)(_|$)", family.name)
        assert family.documentation.endswith(".")
        exposed = {s.name for s in family.samples}
        if family.type == "counter":
            assert exposed <= {family.name + "_total"}


def test_what_is_not_known_is_left_out_and_is_not_zero():
    names = {name for name, *_ in samples(ReceiverFigures())}
    assert "labkit_receiver_round_trip_seconds" not in names
    assert "labkit_receiver_latest_mouth_to_ear_seconds" not in names
    assert "labkit_receiver_packets_total" in names


@pytest.mark.parametrize("figures", [RECEIVER, SERVER, ReceiverFigures(), ServerFigures()])
def test_what_is_written_is_read_again(figures):
    """The same numbers at both ends of the network."""
    read = read_figures(write(figures))
    if figures == ReceiverFigures():  # bounds are told even of nothing
        assert read.mouth_to_ears.count == 0
    assert read == figures


def test_labels_have_few_values():
    """Of a thousand reasons 31 are told apart; of two clients of one name each has its own."""
    many = ServerFigures(
        refused={f"reason {n}": 1 for n in range(1000)},
        clients=(ClientFigures("twin", sent=1), ClientFigures("twin", sent=2)),
    )
    seen = samples(many)
    reasons = {key[1]: value for key, value in seen.items() if "refused" in key[0]}
    assert len(reasons) == MAX_REASONS
    assert sum(reasons.values()) == 1000
    assert reasons["reason", "other"] == 1000 - (MAX_REASONS - 1)
    assert seen["labkit_client_sent_packets_total", ("client", "twin")] == 1
    assert seen["labkit_client_sent_packets_total", ("client", "twin #2")] == 2


def test_who_left_is_no_series_any_more():
    assert not [name for name, *_ in samples(ServerFigures()) if name.startswith("labkit_client")]


BAD_BUCKET = """\
labkit_receiver_packets_total 1
labkit_receiver_interarrival_seconds_bucket{le="x"} 1
labkit_receiver_interarrival_seconds_bucket{le="y"} 1
"""


@pytest.mark.parametrize(
    "text",
    [
        "<html>",
        "up 1\n",
        "labkit_server_listeners NaN\n",
        "labkit_receiver_packets_total +Inf\n",
        BAD_BUCKET,
    ],
)
def test_a_page_of_another_kind_is_refused_in_words(text):
    with pytest.raises(BadInput, match="--metrics"):
        read_figures(text)


@given(st.text(max_size=300) | st.sampled_from([write(SERVER), write(RECEIVER)]).flatmap(
    lambda page: st.integers(0, len(page)).map(lambda cut: page[:cut])
))  # fmt: skip
def test_whatever_the_page_says_it_is_figures_or_bad_input(text):
    with suppress(BadInput):
        assert isinstance(read_figures(text), ReceiverFigures | ServerFigures)


def test_a_real_server_and_its_listeners_agree():
    """Over RTP in virtual time: three listen, one of them through a bad network."""
    voice = Voice(Blank(), Clip(np.zeros((1000 * 960, 1), np.int16)), rng=Random(1))
    server = Server(voice, lambda _: RtpSession(Role.SENDER, rng=Random(1)), max_clients=4)
    world = World(seed=2)
    world.add(server, ("10.0.0.1", 5004))
    receivers = []
    for n, loss in enumerate((0, 0, 0.2)):
        session = RtpSession(Role.RECEIVER, peer=("10.0.0.1", 5004), rng=Random(n + 7))
        receivers.append(Receiver(session, Blank()))
        world.add(receivers[-1], ("10.0.0.2", 6000 + n))
        profile = Profile("", "", "", LinkSpec(), LinkSpec(delay=ms(30), loss=loss))
        world.connect(receivers[-1], server, profile)
    world.run(until=seconds(15))
    seen = samples(server.figures(world.now))
    assert seen["labkit_server_listeners",] == 3
    assert seen["labkit_server_max_listeners",] == 4
    names = {key[1][1] for key in seen if key[0] == "labkit_client_sent_packets_total"}
    assert names == {f"10.0.0.2:{6000 + n}" for n in range(3)}
    loss = seen["labkit_client_loss_ratio", ("client", "10.0.0.2:6002")]
    assert 0.1 < loss < 0.3
    for n, receiver in enumerate(receivers):
        heard = samples(receiver_figures(receiver, world.now))
        sent = seen["labkit_client_sent_packets_total", ("client", f"10.0.0.2:{6000 + n}")]
        # In flight are 30 ms; before the first that came, and after the last, loss is not seen.
        assert heard["labkit_receiver_expected_packets_total",] == pytest.approx(sent, abs=8)
        lost = heard["labkit_receiver_lost_packets",]
        assert (lost > 50) == (n == 2)
        assert (
            heard["labkit_receiver_latest_mouth_to_ear_seconds", ("basis", "sender report")] > 0.05
        )
        trip = seen["labkit_client_round_trip_seconds", ("client", f"10.0.0.2:{6000 + n}")]
        assert trip == pytest.approx(0.03, abs=0.001)
