"""Opus: every setting must do what it says, on speech, measured from outside.

The judges are libopus's own range check (encoder and decoder must end a frame in the same state),
FFmpeg's two decoders (libopus, and its own, which shares no code with it), and signal-to-noise
ratios against the sound without loss.
"""

from collections.abc import Callable

import av
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pystoi import stoi

from labkit.codec.opus import APPLICATIONS, FRAME_LENGTHS, SAMPLE_RATES, Opus, OpusDecoder
from labkit.wire import opus_toc
from labkit.words.errors import BadInput, Malformed, Truncated, WireError
from labkit.words.format import AudioFormat, Samples

Cut = Callable[[Opus, Samples], list[Samples]]


def snr(wanted: Samples, found: Samples) -> float:
    """Signal-to-noise ratio in dB: how much louder `wanted` is than its difference to `found`."""
    noise = np.sum((wanted.astype(float) - found) ** 2)
    return float("inf") if noise == 0 else 10 * np.log10(np.sum(wanted.astype(float) ** 2) / noise)


def encode_all(codec: Opus, frames: list[Samples]) -> list[bytes]:
    encoder = codec.encoder()
    return [encoder.encode(frame) for frame in frames]


def decode_all(decoder: OpusDecoder, payloads: list[bytes]) -> Samples:
    return np.concatenate([decoder.decode(payload) for payload in payloads])


def rate(payloads: list[bytes], frame_ms: float = 20) -> float:
    """Bits a second."""
    return sum(map(len, payloads)) * 8000 / (len(payloads) * frame_ms)


def talk(frames: list[Samples]) -> list[Samples]:
    """The frames in which somebody speaks."""
    return [frame for frame in frames if np.abs(frame.astype(int)).max() > 2000]


def stereo(sound: Samples) -> Samples:
    """Two different channels: the right one is softer and 2 ms later."""
    return np.hstack([sound, np.roll(sound, 96) // 2])


# What goes in comes out


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("frame_ms", FRAME_LENGTHS)
def test_every_frame_length_keeps_its_duration_and_the_final_range(
    frame_ms: float, channels: int, speech: Samples, cut: Cut
) -> None:
    codec = Opus(frame_ms=frame_ms, channels=channels, complexity=5, fec=True)
    encoder, decoder = codec.encoder(), codec.decoder()
    sound = speech[:144_000] if channels == 1 else stereo(speech[:144_000])
    for frame in cut(codec, sound):
        payload = encoder.encode(frame)
        assert codec.duration(payload) == codec.frame_samples == 48 * frame_ms
        assert decoder.decode(payload).shape == (codec.frame_samples, channels)
        assert encoder.final_range == decoder.final_range


@pytest.mark.parametrize("sample_rate", SAMPLE_RATES)
def test_every_sample_rate_gives_as_many_samples_but_the_clock_stays_at_48000(
    sample_rate: int, speech: Samples
) -> None:
    codec = Opus(sample_rate=sample_rate, fec=True)
    step = 48_000 // sample_rate
    sound = speech[48_000:96_000].reshape(-1, step).mean(axis=1).astype(np.int16)[:, np.newaxis]
    encoder, decoder = codec.encoder(), codec.decoder()
    for start in range(0, len(sound), codec.frame_samples):
        payload = encoder.encode(sound[start : start + codec.frame_samples])
        assert decoder.decode(payload).shape == (sample_rate // 50, 1)
        assert codec.duration(payload) == 960
    recovered = decoder.recover(payload)
    assert recovered is not None
    assert recovered.shape == decoder.conceal(sample_rate // 50).shape == (sample_rate // 50, 1)


def test_speech_is_still_understood(speech: Samples, cut: Cut) -> None:
    """STOI above 0.9 without loss; libopus's look-ahead of 6.5 ms is taken out."""
    codec = Opus(32_000)
    heard = decode_all(codec.decoder(), encode_all(codec, cut(codec, speech)))[312:]
    assert stoi(speech[: len(heard), 0] / 32768, heard[:, 0] / 32768, 48_000) > 0.9


def test_stereo_keeps_the_channels_apart(speech: Samples, cut: Cut) -> None:
    codec = Opus(64_000, channels=2)
    left_only = np.hstack([speech, np.zeros_like(speech)])[:240_000]
    heard = decode_all(codec.decoder(), encode_all(codec, cut(codec, left_only)))
    left, right = np.abs(heard.astype(int)).mean(axis=0)
    assert left > 20 * right


def test_a_mono_decoder_reads_stereo_and_a_stereo_decoder_reads_mono(speech: Samples) -> None:
    one, two = Opus(), Opus(channels=2)
    frame = speech[48_000:48_960]
    assert one.decoder().decode(two.encoder().encode(stereo(frame))).shape == (960, 1)
    assert two.decoder().decode(one.encoder().encode(frame)).shape == (960, 2)


def test_arrays_belong_to_the_caller_and_strides_do_not_matter(speech: Samples) -> None:
    codec = Opus()
    decoder = codec.decoder()
    first, second = speech[48_000:48_960], speech[48_960:49_920]
    strided = stereo(first)[:, :1]
    assert not strided.flags.contiguous
    assert codec.encoder().encode(strided) == codec.encoder().encode(first)
    kept = decoder.decode(codec.encoder().encode(first))
    before = kept.copy()
    decoder.decode(codec.encoder().encode(second))
    assert np.array_equal(kept, before)


# FFmpeg judges


def ffmpeg(name: str, payloads: list[bytes], channels: int) -> Samples:
    """The payloads decoded by one of FFmpeg's decoders: `libopus`, or its own, `opus`."""
    decoder = av.CodecContext.create(name, "r")
    decoder.sample_rate = 48_000
    decoder.layout = ("mono", "stereo")[channels - 1]
    blocks = [
        frame.to_ndarray().reshape(channels, -1).T
        if frame.format.is_planar
        else frame.to_ndarray().reshape(-1, channels)
        for payload in payloads
        for frame in decoder.decode(av.Packet(payload))
    ]
    sound = np.concatenate(blocks)
    return sound if sound.dtype == np.int16 else sound * 32768


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize(
    ("application", "bitrate", "frame_ms", "own"),
    # FFmpeg's own decoder resamples SILK with another filter: hence the lower agreement there.
    [("voip", 16_000, 20, 12), ("voip", 32_000, 60, 12), ("lowdelay", 64_000, 2.5, 35)],
)
def test_ffmpeg_hears_the_same(
    application: str,
    bitrate: int,
    frame_ms: float,
    own: float,
    channels: int,
    speech: Samples,
    cut: Cut,
) -> None:
    codec = Opus(bitrate, frame_ms=frame_ms, channels=channels, application=application)
    sound = speech[:240_000] if channels == 1 else stereo(speech[:240_000])
    payloads = encode_all(codec, cut(codec, sound))
    ours = decode_all(codec.decoder(), payloads)
    assert snr(ours, ffmpeg("libopus", payloads, channels)) > 60
    assert snr(ours, ffmpeg("opus", payloads, channels)) > own


# Settings


@pytest.mark.parametrize("frame_ms", [10, 20, 60])
@pytest.mark.parametrize("bitrate", [16_000, 24_000, 32_000, 64_000, 96_000])
def test_the_bitrate_of_talk_is_within_ten_percent(
    bitrate: int, frame_ms: float, speech: Samples, cut: Cut
) -> None:
    """libopus's constrained VBR holds the average; in pauses it sends less, so they are cut out."""
    codec = Opus(bitrate, frame_ms=frame_ms)
    payloads = encode_all(codec, talk(cut(codec, speech)))
    assert rate(payloads, frame_ms) == pytest.approx(bitrate, rel=0.1)


def test_the_bitrate_can_be_changed_between_two_frames(speech: Samples, cut: Cut) -> None:
    codec = Opus(64_000)
    encoder, decoder = codec.encoder(), codec.decoder()
    frames = talk(cut(codec, speech))
    for bitrate in (64_000, 24_000, 48_000):
        encoder.bitrate = bitrate
        payloads = []
        for frame in frames[:250]:
            payloads.append(encoder.encode(frame))
            decoder.decode(payloads[-1])
            assert encoder.final_range == decoder.final_range
        assert encoder.bitrate == bitrate
        assert rate(payloads) == pytest.approx(bitrate, rel=0.1)


def test_complexity_changes_the_bytes_and_not_the_contract(speech: Samples, cut: Cut) -> None:
    found = []
    for complexity in (0, 5, 10):
        codec = Opus(complexity=complexity)
        payloads = encode_all(codec, cut(codec, speech[:96_000]))
        assert len(decode_all(codec.decoder(), payloads)) == 96_000
        found.append(tuple(payloads))
    assert len(set(found)) == 3


def test_no_payload_is_larger_than_asked(speech: Samples, cut: Cut) -> None:
    frames = cut(Opus(frame_ms=60), speech[:240_000])
    free = encode_all(Opus(510_000, frame_ms=60, max_payload=4000), frames)
    held = encode_all(Opus(510_000, frame_ms=60), frames)
    assert max(map(len, free)) > 1200 >= max(map(len, held))
    assert max(map(len, encode_all(Opus(64_000, frame_ms=60, max_payload=90), frames))) <= 90


@pytest.mark.parametrize("application", APPLICATIONS)
def test_the_application_chooses_the_coder(application: str, speech: Samples, cut: Cut) -> None:
    """The TOC byte tells: at 56 kbit/s only `voip` still has SILK, and `lowdelay` never has it."""
    modes = {}
    for bitrate in (24_000, 56_000):
        codec = Opus(bitrate, application=application)
        payloads = encode_all(codec, talk(cut(codec, speech[:240_000])))
        modes[bitrate] = {opus_toc.parse(payload).mode for payload in payloads}
    assert (opus_toc.Mode.CELT in modes[24_000]) == (application == "lowdelay")
    assert (opus_toc.Mode.CELT in modes[56_000]) == (application != "voip")


def test_sdp_says_what_rfc_7587_wants() -> None:
    shown = Opus(24_000, frame_ms=40, channels=2, fec=True, dtx=True).format
    parameters = {
        "maxaveragebitrate": "24000",
        "stereo": "1",
        "sprop-stereo": "1",
        "useinbandfec": "1",
        "usedtx": "1",
    }
    assert shown == AudioFormat("opus", 48_000, 2, 111, 40, parameters)
    assert Opus().format.parameters == {"maxaveragebitrate": "32000"}


@pytest.mark.parametrize(
    ("setting", "value", "legal"),
    [
        ("bitrate", 5_999, "6000 to 510000"),
        ("bitrate", 32_000.5, "6000 to 510000"),
        ("frame_ms", 30, "2.5, 5, 10, 20, 40, 60"),
        ("channels", 3, "1 to 2"),
        ("complexity", 11, "0 to 10"),
        ("expected_loss", 101, "0 to 100"),
        ("application", "radio", "voip, audio, lowdelay"),
        ("max_payload", 10, "32 to 4000"),
        ("sample_rate", 44_100, "8000, 12000, 16000, 24000, 48000"),
    ],
)
def test_an_illegal_setting_names_the_legal_ones(setting: str, value: object, legal: str) -> None:
    with pytest.raises(BadInput, match=legal):
        Opus(**{setting: value})  # type: ignore[arg-type]


def test_illegal_changes_and_wrong_frames_are_refused() -> None:
    encoder = Opus(channels=2).encoder()
    with pytest.raises(BadInput, match="6000 to 510000"):
        encoder.bitrate = 1
    with pytest.raises(BadInput, match="0 to 100"):
        encoder.expected_loss = -1
    for wrong in (
        np.zeros((960, 1), np.int16),
        np.zeros((480, 2), np.int16),
        np.zeros(1920, np.int16),
        np.zeros((960, 2), np.float32),
    ):
        with pytest.raises(BadInput, match=r"int16 of shape \(960, 2\)"):
            encoder.encode(wrong)


# Loss


def losing_each_tenth(codec: Opus, payloads: list[bytes], how: str) -> Samples:
    """Decode with every tenth frame lost, and in its place silence, PLC or FEC."""
    decoder = codec.decoder()
    blocks = []
    for index, payload in enumerate(payloads):
        block = None
        if index % 10 != 5:
            block = decoder.decode(payload)
        elif how == "fec" and index + 1 < len(payloads):
            block = decoder.recover(payloads[index + 1])
        if block is None:
            block = decoder.conceal(codec.frame_samples)
            if how == "silence":
                block = np.zeros_like(block)
        blocks.append(block)
    return np.concatenate(blocks)


@pytest.mark.parametrize("expected_loss", [10, 20])
@pytest.mark.parametrize("bitrate", [24_000, 28_000, 32_000])
def test_fec_is_better_than_plc_and_plc_better_than_silence(
    bitrate: int, expected_loss: int, speech: Samples, cut: Cut
) -> None:
    codec = Opus(bitrate, fec=True, expected_loss=expected_loss)
    payloads = encode_all(codec, cut(codec, speech))
    whole = decode_all(codec.decoder(), payloads)
    silence, plc, fec = (
        snr(whole, losing_each_tenth(codec, payloads, how)) for how in ("silence", "plc", "fec")
    )
    assert silence + 0.5 < plc < fec - 6
    assert fec > 18


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("frame_ms", [10, 20, 40, 60])
def test_fec_recovers_frames_of_10_to_60_ms(
    frame_ms: float, channels: int, speech: Samples, cut: Cut
) -> None:
    codec = Opus(32_000 * channels, frame_ms=frame_ms, channels=channels, fec=True)
    sound = speech[:240_000] if channels == 1 else stereo(speech[:240_000])
    payloads = encode_all(codec, cut(codec, sound))
    whole = decode_all(codec.decoder(), payloads)
    plc, fec = (snr(whole, losing_each_tenth(codec, payloads, how)) for how in ("plc", "fec"))
    assert fec > plc + 3


def test_where_there_is_no_fec_nothing_is_recovered(speech: Samples, cut: Cut) -> None:
    """Off; too low a bitrate (RFC 6716 leaves that to the encoder); CELT, which has none."""
    for codec in (Opus(32_000), Opus(12_000, fec=True), Opus(fec=True, application="lowdelay")):
        payloads = encode_all(codec, cut(codec, speech[:240_000]))
        decoder = codec.decoder()
        decoder.decode(payloads[0])
        state = decoder.final_range
        assert all(decoder.recover(payload) is None for payload in payloads)
        assert decoder.final_range == state


def test_expected_loss_turns_fec_on_and_off_between_two_frames(speech: Samples, cut: Cut) -> None:
    codec = Opus(24_000, fec=True)
    encoder, frames = codec.encoder(), talk(cut(codec, speech))
    assert encoder.expected_loss == 10
    for loss, some in ((20, True), (0, False), (10, True)):
        encoder.expected_loss = loss
        assert encoder.expected_loss == loss
        payloads = [encoder.encode(frame) for frame in frames[:100]]
        share = sum(map(opus_toc.has_fec, payloads[2:])) / 98
        assert share > 0.8 if some else share == 0
    assert Opus(24_000).encoder().expected_loss == 0


def test_concealment_goes_on_with_the_sound_and_fades(speech: Samples, cut: Cut) -> None:
    codec = Opus()
    decoder = codec.decoder()
    payloads = encode_all(codec, cut(codec, speech[:48_000]))
    heard = decode_all(decoder, payloads)
    gap = decoder.conceal(48_000).astype(float)
    loud = np.abs(heard[-960:].astype(float)).mean()
    assert 0.3 * loud < np.abs(gap[:480]).mean() < 2 * loud
    assert np.abs(gap[-960:]).mean() < 0.05 * loud


@pytest.mark.parametrize("samples", [0, 1, 119, 120, 960, 961, 5760, 5761, 20_000])
def test_concealment_has_any_length(samples: int) -> None:
    assert Opus(channels=2).decoder().conceal(samples).shape == (samples, 2)


# Silence


def sent_with_dtx(frames: list[Samples]) -> list[int]:
    """Which frames a DTX encoder wants sent; a decoder follows and must agree on them."""
    codec = Opus(dtx=True)
    encoder, decoder = codec.encoder(), codec.decoder()
    sent = []
    for index, frame in enumerate(frames):
        payload = encoder.encode(frame)
        if not payload:
            decoder.conceal(codec.frame_samples)
            continue
        decoder.decode(payload)
        assert encoder.final_range == decoder.final_range
        sent.append(index)
    return sent


def test_dtx_sends_one_frame_of_silence_about_every_400_ms(cut: Cut) -> None:
    sent = sent_with_dtx(cut(Opus(), np.zeros((480_000, 1), np.int16)))
    gaps = np.diff(sent)
    assert set(gaps[-20:]) <= {20, 21}, "from 400 to 420 ms"
    assert sum(gaps == 1) < 20, "silence is recognised within 400 ms"


def test_dtx_sends_less_in_the_pauses_of_speech_and_all_of_the_talk(
    speech: Samples, cut: Cut
) -> None:
    frames = cut(Opus(), speech)
    sent = set(sent_with_dtx(frames))
    silent = {i for i, frame in enumerate(frames) if not np.abs(frame.astype(int)).max() > 2}
    assert len(silent) > 100
    assert len(sent & silent) < 0.6 * len(silent)
    loud = {i for i, frame in enumerate(frames) if np.abs(frame.astype(int)).max() > 2000}
    assert loud <= sent


def test_dtx_works_over_the_noise_of_a_room(speech: Samples, cut: Cut) -> None:
    noise = np.random.default_rng(1).normal(0, 10, speech.shape)
    frames = cut(Opus(), np.clip(speech + noise, -32768, 32767).astype(np.int16))
    assert len(sent_with_dtx(frames)) < 0.95 * len(frames)


def test_without_dtx_silence_is_sent_too(cut: Cut) -> None:
    silence = np.zeros((480_000, 1), np.int16)
    for application in APPLICATIONS:
        codec = Opus(application=application)
        assert all(encode_all(codec, cut(codec, silence)))


# Bad bytes


def test_an_empty_payload_is_truncated_and_a_broken_one_malformed() -> None:
    codec = Opus()
    for read in (codec.decoder().decode, codec.decoder().recover, codec.duration):
        with pytest.raises(Truncated):
            read(b"")
        with pytest.raises(Malformed, match="R5"):
            read(b"\xff\x3f")


def test_a_payload_of_the_toc_alone_is_a_frame_that_was_not_sent() -> None:
    """RFC 6716 section 3.2: other encoders send DTX frames of no bytes. They last a frame."""
    decoder = Opus().decoder()
    assert decoder.decode(b"\x48").shape == (960, 1)


def test_bad_payloads_leave_the_state_as_it_was(speech: Samples, cut: Cut) -> None:
    codec = Opus(fec=True)
    good = encode_all(codec, cut(codec, speech[:96_000]))
    clean, tried = codec.decoder(), codec.decoder()
    for payload in good:
        for bad in (b"", b"\xff", b"\x03\x00", b"\x02\xff", payload[:1] + bytes(1276)):
            with pytest.raises(WireError):
                tried.decode(bad)
            with pytest.raises(WireError):
                tried.recover(bad)
        assert np.array_equal(tried.decode(payload), clean.decode(payload))


def survives(decoder: OpusDecoder, payload: bytes) -> bool:
    """Try all that a receiver does with a payload; whether it could be read."""
    try:
        sound = decoder.decode(payload)
    except WireError:
        with pytest.raises(WireError):
            opus_toc.duration(payload)
        return False
    assert sound.dtype == np.int16
    assert sound.shape == (opus_toc.duration(payload), 1)
    recovered = decoder.recover(payload)
    assert recovered is None or recovered.shape == sound.shape
    return True


def test_ten_thousand_random_payloads_are_sound_or_a_wire_error() -> None:
    """libopus and our reading of the TOC agree on which, and on how long it lasts."""
    random = np.random.default_rng(8)
    decoder = Opus().decoder()
    read = sum(survives(decoder, random.bytes(int(random.integers(0, 200)))) for _ in range(10_000))
    assert 3_000 < read < 9_000


@settings(max_examples=300, deadline=None)
@given(data=st.data())
def test_damaged_payloads_are_sound_or_a_wire_error(data: st.DataObject) -> None:
    payload = bytearray(REAL_PAYLOAD)
    for _ in range(data.draw(st.integers(1, 4))):
        payload[data.draw(st.integers(0, len(payload) - 1))] = data.draw(st.integers(0, 255))
    survives(Opus().decoder(), bytes(payload[: data.draw(st.integers(0, len(payload)))]))


REAL_PAYLOAD = (
    Opus(fec=True)
    .encoder()
    .encode((8000 * np.sin(np.arange(960) / 20)).astype(np.int16)[:, np.newaxis])
)
