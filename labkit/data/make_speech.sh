#!/bin/sh
# Make the spoken sample: four sentences with pauses between them, about 15 s, 48 kHz, 16 bit, mono.
#
#   labkit/data/make_speech.sh [out.wav]      needs flite and sox (apt install flite sox)
#
# Each sentence is synthesised by itself and followed by silence, because the pauses are part of
# the sample: discontinuous transmission and adaptive playout work in them. The high-pass filter
# takes out the voice's direct current. `-D` turns dither off, so the same programs give the same
# bytes again.
set -eu
out=${1:-$(dirname "$0")/speech.wav}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

count=0
say() { # seconds of silence afterwards, sentence
    count=$((count + 1))
    flite -voice rms --setf duration_stretch=0.82 -t "$2" -o "$work/spoken.wav"
    sox -D "$work/spoken.wav" "$work/$count.wav" pad 0 "$1"
}

say 0.8 "A voice leaves the room as a row of small packets."
say 0.6 "Some arrive late, some twice, and some are lost on the way."
say 1.0 "The listener waits a moment, puts them in order, and fills the gaps."
say 0.4 "If all goes well, nobody hears the network."

sox -D "$work"/[1-4].wav -b 16 "$out" rate -v 48000 highpass 50 norm -3
