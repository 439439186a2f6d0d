"""Hear it: a player in a notebook, with a name beside it so that two can be compared.

The sound is carried in the page itself, so a page that was run can be read and heard without us.
"""

import base64
import html
import io
import wave
from collections.abc import Mapping

from labkit.words.format import Samples


def wav_bytes(samples: Samples, sample_rate: int) -> bytes:
    """A whole WAV file, 16 bit, from samples of shape (samples, channels)."""
    out = io.BytesIO()
    with wave.open(out, "wb") as file:
        file.setnchannels(samples.shape[1] if samples.ndim > 1 else 1)
        file.setsampwidth(2)
        file.setframerate(sample_rate)
        file.writeframes(samples.astype("<i2").tobytes())
    return out.getvalue()


class Player:
    """One or several sounds, each with its name and a play button."""

    def __init__(self, sounds: Mapping[str, Samples], sample_rate: int) -> None:
        self.sounds = dict(sounds)
        self.sample_rate = sample_rate

    def _repr_html_(self) -> str:
        rows = []
        for name, samples in self.sounds.items():
            data = base64.b64encode(wav_bytes(samples, self.sample_rate)).decode()
            label = html.escape(name)
            rows.append(
                '<div style="display:flex;align-items:center;gap:.8em;margin:.25em 0">'
                f'<audio controls preload="metadata" aria-label="{label}" '
                f'src="data:audio/wav;base64,{data}" style="height:34px;width:22em"></audio>'
                f"<span>{label}</span></div>"
            )
        return "".join(rows)

    def __repr__(self) -> str:
        lengths = (f"{n}: {len(s) / self.sample_rate:.1f} s" for n, s in self.sounds.items())
        return f"<Player: {', '.join(lengths)}>"


def listen(sounds: Samples | Mapping[str, Samples], sample_rate: int = 48_000) -> Player:
    """A player for one sound, or for several under their names."""
    return Player(sounds if isinstance(sounds, Mapping) else {"": sounds}, sample_rate)
