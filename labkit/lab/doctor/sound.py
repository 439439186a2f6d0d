"""Something to speak into, something to hear with, and a sound server for the tests."""

import json
import shutil
import sys
from pathlib import Path
from typing import Final

from labkit.lab.doctor.remedies import this_system
from labkit.lab.doctor.trial import Capability, Subject, run
from labkit.live.audio import default_device
from labkit.words.errors import MissingCapability

SPEAKER: Final = Subject(
    "speaker", "hearing a live call, from week 1 on; without it notebooks play in the browser"
)
MICROPHONE: Final = Subject(
    "microphone", "your own voice, from week 1 on; without it: spoken sample, WAV file or browser"
)
PULSEAUDIO: Final = Subject("PulseAudio", "a sound card for tests that need one: make test")

_PLUGIN: Final = "lib*/**/alsa-lib/libasound_module_pcm_pulse.so"
"""How ALSA, and so PortAudio, reaches a sound server."""


def devices() -> list[Capability]:
    """The devices that a call would take.

    Asked in a process of its own: PortAudio lists the devices once in a process, and an unwell
    sound server can make it hang.
    """
    subjects = (SPEAKER, MICROPHONE)
    ran = run(sys.executable, "-m", __name__)
    if ran.code != 0:
        why = ran.output.splitlines()[-1] if ran.output else f"PortAudio ended by {ran.code}"
        remedy = "restart the sound server" if ran.code is None else "please report this line"
        return [subject.missing(why, remedy) for subject in subjects]
    # ALSA may have said something before
    answers = json.loads(ran.output.splitlines()[-1])
    return [
        subject.ok(name) if name else subject.missing(why, _remedy(why))
        for subject, (name, why) in zip(subjects, answers, strict=True)
    ]


def _remedy(why: str) -> str:
    system = this_system()
    if "PortAudio" in why:
        return system.install("portaudio")
    if system.platform != "linux":
        return "plug one in, and let Python use it in the system's privacy settings"
    if any(Path("/usr").glob(_PLUGIN)):
        return "plug one in, or start the sound server (PulseAudio or PipeWire)"
    plugin = system.install("alsa plug-in")
    if system.wsl:
        return f"{plugin}  (WSLg has the sound server)"
    return f"plug one in; where a sound server runs: {plugin}"


def pulseaudio() -> Capability:
    """Only whether the program is here: tests start a server of their own."""
    path = shutil.which("pulseaudio")
    if path is None:
        return PULSEAUDIO.missing("no program pulseaudio", this_system().install("pulseaudio"))
    return PULSEAUDIO.ok(path)


def _answer(kind: str) -> tuple[str, str]:
    """The name of the default device, or why there is none."""
    try:
        device = default_device(kind)
    except MissingCapability as error:
        return "", error.what
    return f"{device.name} ({device.system})", ""


if __name__ == "__main__":
    print(json.dumps([_answer("output"), _answer("input")]))  # to `devices`, in the process above
