"""Real-time networking by ear: a voice that crosses a bad network and is still understood.

Importing `labkit` is cheap. Public names load when they are first used:

>>> from labkit import Call, Opus, speech
>>> Call(speech(), codec=Opus(32_000, fec=True), link="wifi-busy").simulate()   # doctest: +SKIP
"""

from importlib import import_module
from typing import Any

__version__ = "0.1.0"
_HOME = {
    "Adaptive": "labkit.core.delaypolicy",
    "BrowserMicrophone": "labkit.lab.browser",
    "BrowserSpeaker": "labkit.lab.browser",
    "Call": "labkit.lab.call",
    "CardMicrophone": "labkit.lab.livesound",
    "CardSpeaker": "labkit.lab.livesound",
    "Crowd": "labkit.lab.crowd",
    "CrowdLab": "labkit.lab.crowdlab",
    "Dashboard": "labkit.lab.dashboard",
    "Fixed": "labkit.core.delaypolicy",
    "JitterBuffer": "labkit.core.jitterbuffer",
    "LabNetwork": "labkit.live.link",
    "JitterLab": "labkit.lab.widgets",
    "NagleLab": "labkit.lab.naglelab",
    "NaiveBuffer": "labkit.core.naive",
    "Opus": "labkit.codec.opus",
    "OpusLab": "labkit.lab.opuslab",
    "OwnHeader": "labkit.lab.ownheader",
    "Packet": "labkit.words.packet",
    "PacketCall": "labkit.lab.packets",
    "PacketLab": "labkit.lab.packetlab",
    "Pcm": "labkit.codec.pcm",
    "Pcma": "labkit.codec.g711",
    "Pcmu": "labkit.codec.g711",
    "PlaybackLab": "labkit.lab.playbacklab",
    "Prediction": "labkit.lab.predict",
    "QosLab": "labkit.lab.qoslab",
    "Replay": "labkit.lab.replay",
    "ReportLab": "labkit.lab.reportlab",
    "Result": "labkit.lab.result",
    "SampleLab": "labkit.lab.samplelab",
    "TransportLab": "labkit.lab.transportlab",
    "StreamLab": "labkit.lab.streamlab",
    "ask": "labkit.lab.questions",
    "bytemap": "labkit.lab.bytemap",
    "capstone": "labkit.lab.capstone",
    "capture": "labkit.lab.captures",
    "check": "labkit.checks.check",
    "delays": "labkit.lab.plots",
    "describe": "labkit.lab.captures",
    "frontier": "labkit.lab.show",
    "gaps": "labkit.lab.plots",
    "head_of_line": "labkit.lab.headofline",
    "histogram": "labkit.lab.show",
    "if_possible": "labkit.lab.optional",
    "journeys": "labkit.lab.show",
    "ladder": "labkit.lab.ladder",
    "link": "labkit.lab.links",
    "listen": "labkit.lab.listen",
    "load_profile": "labkit.resources",
    "load_trace": "labkit.lab.tracelog",
    "ms": "labkit.words.units",
    "open_capture": "labkit.lab.traffic",
    "own_parts": "labkit.checks.ownparts",
    "reports": "labkit.lab.reports",
    "seconds": "labkit.words.units",
    "sequence": "labkit.lab.plots",
    "side_by_side": "labkit.lab.sidebyside",
    "sniff": "labkit.lab.sniff",
    "small_writes": "labkit.lab.nagle",
    "speech": "labkit.lab.sources",
    "step": "labkit.lab.steps",
    "sweep": "labkit.lab.sweep",
    "timelines": "labkit.lab.show",
    "to_ms": "labkit.words.units",
    "tone": "labkit.lab.sources",
    "wav": "labkit.lab.sources",
    "waveform": "labkit.lab.waveform",
}


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(import_module(_HOME[name]), name)
    raise AttributeError(f"labkit has no {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOME])
