"""Microphone and speaker: between the sound card's thread and a ring buffer.

PortAudio calls us back from a thread of its own every few milliseconds and waits for nobody: what
is not there in time is heard as a click. So **the callback touches only the ring buffer**. It does
not wake the event loop either, since that takes a lock and a system call. The other side looks
into the ring by timer instead, once a frame, as it has a deadline then anyway.

    Microphone: sound card ─► callback ─► ring ─► polled by timer ─► sender
    Speaker:    receiver, by timer ─► ring ─► callback ─► sound card

PortAudio is loaded when a device is first asked for, never by importing this file. It lists the
devices once: plug in first, start Python then. This file knows no codec, packets or asyncio.
"""

from dataclasses import dataclass
from types import TracebackType
from typing import Any, Final, Self

from labkit.core.ringbuffer import RingBuffer
from labkit.live.clock import now
from labkit.words.errors import MissingCapability
from labkit.words.format import Samples
from labkit.words.units import seconds

_NO_PORTAUDIO: Final = (
    "sudo apt-get install libportaudio2 (Fedora: sudo dnf install portaudio); "
    "elsewhere: pip install --force-reinstall sounddevice"
)
_NO_DEVICE: Final = (
    "plug one in or start the sound server, then start Python again; "
    "without one, use a WAV file: `labkit doctor` lists what is here"
)


@dataclass(frozen=True, slots=True)
class Device:
    """A sound device as PortAudio knows it. `inputs` and `outputs` count its channels."""

    index: int
    name: str
    system: str
    inputs: int
    outputs: int
    sample_rate: int


def devices() -> list[Device]:
    """Every device of this machine; empty without one. `MissingCapability` without PortAudio."""
    library = _portaudio()
    return [_device(library, found) for found in library.query_devices()]


def default_device(kind: str) -> Device:
    """The device that None stands for; `kind` is "input" or "output"."""
    library = _portaudio()
    try:
        return _device(library, library.query_devices(kind=kind))
    except library.PortAudioError as error:
        raise MissingCapability(f"there is no sound {kind} device", _NO_DEVICE) from error


def _device(library: Any, found: Any) -> Device:
    return Device(
        index=found["index"],
        name=found["name"],
        system=library.query_hostapis(found["hostapi"])["name"],
        inputs=found["max_input_channels"],
        outputs=found["max_output_channels"],
        sample_rate=round(found["default_samplerate"]),
    )


def _portaudio() -> Any:
    """The sounddevice module. Its Linux wheel has no PortAudio, and says so by OSError."""
    try:
        import sounddevice
    except (ImportError, OSError) as error:
        why = f"sound needs PortAudio, which is not here ({error})"
        raise MissingCapability(why, _NO_PORTAUDIO) from error
    return sounddevice


class _Stream:
    """What a microphone and a speaker share: open, close, and notice when the device is gone."""

    kind = ""

    def __init__(
        self,
        ring: RingBuffer,
        sample_rate: int,
        channels: int,
        block_samples: int,
        device: int | str | None = None,
    ) -> None:
        self.ring = ring
        self.sample_rate = sample_rate
        self.channels = channels
        self.block_samples = block_samples
        self.device = device
        self.xruns = 0
        """How often the sound card said that we were late or it was."""
        self._stream: Any = None
        self._ended = False

    @property
    def latency(self) -> int:
        """Nanoseconds between the callback and the air, as the driver tells it; 0 when stopped."""
        return seconds(self._stream.latency) if self._stream is not None else 0

    @property
    def failure(self) -> MissingCapability | None:
        """Why no more callbacks come, although nobody called `stop`. Look at it once in a while."""
        if self._stream is None or not self._ended:
            return None
        what = f"the {self.kind} device went away while it was in use"
        return MissingCapability(what, _NO_DEVICE)

    def start(self) -> None:
        """Open the device. Twice does no harm."""
        if self._stream is not None:
            return
        library = _portaudio()
        self._ended = False
        try:
            stream = self._open(library)
            stream.start()
        except (library.PortAudioError, ValueError) as error:
            raise MissingCapability(self._why_not(library, error), _NO_DEVICE) from error
        self._stream = stream

    def stop(self) -> None:
        """Close the device, after what it has already taken is heard. Twice does no harm.

        That lasts about `latency`. What is still in the ring stays there.
        """
        stream, self._stream = self._stream, None
        if stream is not None:
            stream.stop(ignore_errors=True)
            stream.close(ignore_errors=True)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

    def _open(self, library: Any) -> Any:
        raise NotImplementedError

    def _settings(self) -> dict[str, Any]:
        return {
            "samplerate": self.sample_rate,
            "channels": self.channels,
            "blocksize": self.block_samples,
            "device": self.device,
            "dtype": "int16",
            "latency": "low",
            "finished_callback": self._finished,
        }

    def _finished(self) -> None:
        self._ended = True  # by `stop`, or because the device is gone: `failure` knows which

    def _why_not(self, library: Any, error: Exception) -> str:
        """A sentence for a person: there is no device, or this one does not want to."""
        try:
            library.query_devices(self.device, self.kind)
        except (library.PortAudioError, ValueError):
            which = "" if self.device is None else f" called {self.device!r}"
            return f"there is no sound {self.kind} device{which}"
        return f"the sound {self.kind} device cannot be opened: {error}"


class Speaker(_Stream):
    """Plays what is in the ring; an empty ring is silence, and an underrun.

    `block_samples` is how many samples of each channel the sound card takes at a time. `device` is
    an index or a part of a name from `devices()`; None is the default of the system.
    """

    kind = "output"

    def _open(self, library: Any) -> Any:
        return library.OutputStream(callback=self._callback, **self._settings())

    def _callback(self, out: Samples, _count: int, _times: object, status: object) -> None:
        if status:
            self.xruns += 1
        self.ring.read_into(out, now())


class Microphone(_Stream):
    """Puts what it hears into the ring; what a full ring does not take is an overrun.

    Settings as those of `Speaker`.
    """

    kind = "input"

    def _open(self, library: Any) -> Any:
        return library.InputStream(callback=self._callback, **self._settings())

    def _callback(self, heard: Samples, _count: int, _times: object, status: object) -> None:
        if status:
            self.xruns += 1
        self.ring.write(heard)
