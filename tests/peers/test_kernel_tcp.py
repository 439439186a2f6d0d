"""Our model of a byte stream beside the kernel's TCP, over the same bad line.

The model leaves out most of TCP (see `labkit.sim.bytestream`). What it keeps is what a listener
hears: frames that wait behind a lost one. So the delays must be alike; they need not be equal.
"""

import json
import sys

import numpy as np
import pytest
from programs import LIMIT

from labkit.codec import Opus
from labkit.core.source import Clip
from labkit.lab.call import Call
from labkit.lab.sources import speech
from labkit.live.link import LabNetwork
from labkit.live.wav import WavWriter
from labkit.words.seqnum import ahead32

pytestmark = [pytest.mark.live, pytest.mark.net]

SECONDS = 8
LINK = "voip-10"

LISTEN = """
import asyncio, json, sys
from labkit.core.session import Closed, Received, Role
from labkit.core.streamsession import StreamSession
from labkit.live.tcp import connect_tcp

async def main(host, port):
    heard, over = [], asyncio.Event()
    def take(event):
        if isinstance(event, Received):
            heard.append((event.now, event.packet.timestamp))
        elif isinstance(event, Closed):
            over.set()
    await connect_tcp(StreamSession(Role.RECEIVER), host, port, on_event=take)
    await over.wait()
    print(json.dumps(heard))

asyncio.run(main(sys.argv[1], int(sys.argv[2])))
"""


def percentiles(delays) -> np.ndarray:
    """How much later than the fastest a half and nine tenths of the packets are, at most, in ms."""
    return np.percentile(np.asarray(delays) - np.min(delays), [50, 90])


def test_the_model_delays_as_the_kernel_does(tmp_path):
    """10 % loss and 30 ms of jitter each way: all arrives, the most of it hundreds of ms late."""
    said = tmp_path / "said.wav"
    clip = Clip(speech().samples[: SECONDS * 48_000])
    with WavWriter(said, 48_000, 1) as out:
        out.write(clip.samples)
    serve = ["streamer", "serve", "--proto", "tcp", "--nodelay", "--source", said, "--port", "5000"]
    with LabNetwork(LINK, seed=1) as net:
        server = net.bob.start([*serve, "--host", net.bob.address])
        net.bob.wait_for_port(5000)
        listener = net.alice.start([sys.executable, "-c", LISTEN, net.bob.address, "5000"])
        assert listener.wait(LIMIT) == 0, listener.stderr.text
        assert server.wait(LIMIT) == 0, server.stderr.text
    heard = json.loads(listener.stdout.text)
    kernel = percentiles(
        [now / 1e6 - ahead32(timestamp, heard[0][1]) / 48 for now, timestamp in heard]
    )
    results = [Call(clip, Opus(), LINK, "tcp", seed=seed).simulate() for seed in range(5)]
    model = np.median([percentiles(r.timeline.network_delay_ms()) for r in results], axis=0)
    print(f"\nmedian and 90 %: kernel {kernel.round()} ms, model {model.round()} ms")
    assert len(heard) == SECONDS * 50
    assert all(result.timeline.lost == 0 for result in results)
    assert np.all(kernel > 80)
    assert np.all((model > kernel / 2.5) & (model < kernel * 2.5))
