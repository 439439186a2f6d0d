"""The engines that work in real time, each doing a spec to real packets: `Observation`s of that.

    relayed(specs, packets, interval)       (c) a relay in the event loop
    networked(specs, packets, interval)     (b) a lab network of two kernels
    in_the_kernel(specs, packets, interval) (d) tc netem in User-Mode Linux

`specs` has a name for each; all of them are measured at once. Engine (a), the simulation, needs
no time: `agreement.simulated`.
"""

import asyncio
import json
import struct
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, ExitStack
from pathlib import Path

import numpy as np
from engines.agreement import SIZE, Observation

from labkit.live.clock import now
from labkit.live.link import LabNetwork
from labkit.live.loop import run
from labkit.live.relay import UdpRelay
from labkit.resources import load_profile, profile_names
from labkit.words.linkspec import GilbertElliott, LinkSpec, Reorder, Slot
from labkit.words.profile import Profile
from labkit.words.tc import tc_arguments, write_time
from labkit.words.units import NS_PER_MS, ms, to_seconds

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
PROBE = HERE / "probe.py"
SEED = 7
LOCAL = ("127.0.0.1", 0)
NUMBER = struct.Struct("!I")
SILENCE_S = 2.5
"""After so long without a packet none comes any more: the longest delay of a profile is 0.75 s."""

STEADY = LinkSpec(delay=ms(50))
"""What `agreement.lateness` is found on."""
WORDS = {
    "delay": STEADY,
    "uniform jitter": LinkSpec(delay=ms(30), jitter=ms(25)),
    "reorder": LinkSpec(delay=ms(50), reorder=Reorder(0.25, 0.5)),
    "reorder with a gap": LinkSpec(delay=ms(50), reorder=Reorder(0.8, gap=5)),
    "duplicate": LinkSpec(delay=ms(30), jitter=ms(25), duplicate=0.1),
    "correlated loss": LinkSpec(loss=0.4, loss_correlation=0.25),
    "four-figure gemodel": LinkSpec(gemodel=GilbertElliott(0.05, 0.2, 0.8, 0.02)),
    "full queue": LinkSpec(delay=ms(150), jitter=ms(40), limit=8),
    "delay below zero": LinkSpec(delay=ms(5), jitter=ms(40), rate=200_000),
    "slow line": LinkSpec(loss=0.1, rate=60_000, limit=12),
    "slot": LinkSpec(delay=ms(4), slot=Slot(ms(10), ms(60), packets=4)),
    "slot of bytes": LinkSpec(slot=Slot(ms(10), ms(40), bytes=600)),
}
"""netem's words that no shipped profile uses, or not alone."""

TRACED = {"recorded delays": LinkSpec(delay_trace="spikes")}
"""What `tc` cannot."""

DIFFERENT: dict[str, tuple[LinkSpec, set[str]]] = {
    "correlated delay": (
        LinkSpec(delay=ms(50), jitter=ms(40), delay_correlation=0.5),
        {"delay", "reordered"},
    ),
    "slot after a delay": (
        LinkSpec(delay=ms(40), jitter=ms(10), slot=Slot(ms(10), ms(30))),
        {"delay"},
    ),
    "doubled and lost": (LinkSpec(duplicate=0.5, loss=0.5), {"doubled"}),
}
"""Where netem is known to do something else, and in which figures: netem/README.md says why."""


def shipped(*, steady: bool = False) -> dict[str, LinkSpec]:
    """What each shipped profile does on the way up; with `steady`, before its first step."""
    ups = {name: load_profile(name).up for name in profile_names()}
    return {name: spec.at(0) if steady else spec for name, spec in ups.items()}


def moments() -> dict[str, LinkSpec]:
    """All that the shipped profiles do, either way, at any time: each thing once."""
    found: dict[LinkSpec, str] = {}
    for name in profile_names():
        profile = load_profile(name)
        for way, spec in (("", profile.up), (" down", profile.down)):
            for at in (0, *(step.at for step in spec.steps)):
                when = f" at {write_time(at)}" if at else ""
                found.setdefault(spec.at(at), f"{name}{way}{when}")
    return {name: spec for spec, name in found.items()}


# --- (c) the relay -------------------------------------------------------------------------------


def relayed(specs: Mapping[str, LinkSpec], packets: int, interval: int) -> dict[str, Observation]:
    """A relay for each spec, all in one event loop, which sends and receives too."""
    return run(_relayed(specs, packets, interval))


async def _relayed(
    specs: Mapping[str, LinkSpec], packets: int, interval: int
) -> dict[str, Observation]:
    loop = asyncio.get_running_loop()
    async with AsyncExitStack() as stack:
        ways = []
        for name, spec in specs.items():
            _, far = await loop.create_datagram_endpoint(_Arrivals, local_addr=LOCAL)
            stack.callback(far.transport.close)
            address = far.transport.get_extra_info("sockname")
            relay = await UdpRelay.start(LOCAL, address, _one_way(name, spec), SEED)
            await stack.enter_async_context(relay)
            near, _ = await loop.create_datagram_endpoint(
                asyncio.DatagramProtocol, remote_addr=relay.address
            )
            stack.callback(near.close)
            ways.append((name, near, relay, far))
        sent = await _send_in_turns([near for _, near, _, _ in ways], packets, interval)
        await asyncio.sleep(SILENCE_S)
        return {
            name: _observation(sent[:, place], far.seen, relay.to_server._start)
            for place, (name, _, relay, far) in enumerate(ways)
        }


class _Arrivals(asyncio.DatagramProtocol):
    """Notes when which packet arrives."""

    def __init__(self) -> None:
        self.seen: list[tuple[int, int]] = []

    def connection_made(self, transport) -> None:
        self.transport = transport

    def datagram_received(self, data: bytes, addr: object) -> None:
        self.seen.append((NUMBER.unpack_from(data)[0], now()))


async def _send_in_turns(ways, packets: int, interval: int) -> np.ndarray:
    """Each way gets a packet in each interval; when: a row for each packet."""
    sent = np.zeros((packets, len(ways)), np.int64)
    begin = now()
    for number in range(packets):
        for place, way in enumerate(ways):
            wait = begin + interval * (number * len(ways) + place) // len(ways) - now()
            if wait > 0:
                await asyncio.sleep(to_seconds(wait))
            sent[number, place] = now()
            way.sendto(NUMBER.pack(number) + bytes(SIZE - NUMBER.size))
    return sent


def _observation(sent: np.ndarray, seen: Iterable[tuple[int, int]], start: int) -> Observation:
    numbers, instants = np.array(list(seen), np.int64).reshape(-1, 2).T
    return Observation(sent - start, numbers, instants - start)


def _one_way(name: str, spec: LinkSpec) -> Profile:
    return Profile(name, "", "", spec, LinkSpec())


# --- (b) the lab network -------------------------------------------------------------------------


def networked(specs: Mapping[str, LinkSpec], packets: int, interval: int) -> dict[str, Observation]:
    """A lab network for each spec: alice sends, bob notes. Only for specs without steps."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        labs = [
            stack.enter_context(LabNetwork(_one_way(*item), seed=SEED)) for item in specs.items()
        ]
        probe = [sys.executable, "-S", str(PROBE)]
        receivers = []
        for place, lab in enumerate(labs):
            command = [*probe, "receive", "7000", str(SILENCE_S), str(folder / f"received {place}")]
            receivers.append(lab.bob.start(command))
        for receiver in receivers:
            receiver.stdout.wait_for("listening")
        many = [str(packets), str(interval / NS_PER_MS)]
        with ThreadPoolExecutor(len(labs)) as pool:
            for place, lab in enumerate(labs):
                command = [*probe, "send", "7000", *many, str(folder / f"sent {place}")]
                pool.submit(lab.alice.run, [*command, lab.bob.address], check=True)
        for receiver in receivers:
            receiver.wait()
        return {
            name: _probed(folder / f"sent {place}", folder / f"received {place}", 0)
            for place, name in enumerate(specs)
        }


def _probed(sent: Path, received: Path, place: int) -> Observation:
    """What the probe wrote for one of its addresses. The link comes up with the first packet."""
    sends, arrivals = (_read(file, place) for file in (sent, received))
    start = sends[0, 1]
    return Observation(sends[:, 1] - start, arrivals[:, 0], arrivals[:, 1] - start)


def _read(file: Path, place: int) -> np.ndarray:
    """Number and instant of each packet of one place."""
    lines = np.loadtxt(file, np.int64, ndmin=2).reshape(-1, 3)
    return lines[lines[:, 0] == place, 1:]


# --- (d) tc netem --------------------------------------------------------------------------------


def in_the_kernel(
    specs: Mapping[str, LinkSpec], packets: int, interval: int
) -> dict[str, Observation]:
    """A cable for each spec in User-Mode Linux, with real netem. Only for specs without steps."""
    words = [" ".join(tc_arguments(spec)) for spec in specs.values()]
    plan = {"packets": packets, "interval_ms": interval / NS_PER_MS, "words": words}
    with tempfile.TemporaryDirectory() as folder:
        plan_file = Path(folder) / "plan"
        plan_file.write_text(json.dumps(plan))
        inside = [sys.executable, ROOT / "tests/netem/inside.py", plan_file, "/run/out"]
        subprocess.run([ROOT / "tests/netem/uml.sh", folder, *inside], check=True)
        sent, received = Path(folder) / "sent", Path(folder) / "received"
        return {name: _probed(sent, received, place) for place, name in enumerate(specs)}
