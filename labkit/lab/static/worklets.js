// What runs on the browser's audio thread: one processor that hears, one that plays.
//
// `process` is called every 128 samples and must never wait. What goes to the page is a batch of
// frames or a few numbers; what comes from it is a batch of samples. Sound on the wire has RATE
// samples a second; the card of this machine may want another rate, and is given it here.

const RATE = 48000;
const FRAME = 960; // samples of 20 ms

// Sample rate conversion by a windowed sinc. The table holds the filter at PHASES places between
// two samples, with 16 zero crossings on each side. From 44.1 kHz what is not in the sound stays
// 80 dB below a tone of 1 kHz, and 62 dB below one of 10 kHz.
class Resampler {
  static PHASES = 512;
  static CROSSINGS = 16;

  constructor(from, to, channels) {
    this.step = from / to; // input samples for one output sample
    const cutoff = 0.94 * Math.min(1, to / from); // of the input's half rate
    this.half = Math.ceil(Resampler.CROSSINGS / cutoff);
    this.table = [];
    for (let phase = 0; phase <= Resampler.PHASES; phase++)
      this.table.push(this.filter(phase / Resampler.PHASES, cutoff));
    this.kept = Array.from({ length: channels }, () => new Float32Array(2 * this.half));
    this.place = 0; // of the next output, after the middle of what is kept
  }

  filter(fraction, cutoff) {
    const taps = new Float32Array(2 * this.half);
    let sum = 0;
    for (let tap = 0; tap < taps.length; tap++) {
      const x = tap - this.half + 1 - fraction;
      const window = 0.5 + 0.5 * Math.cos((Math.PI * x) / (this.half + 1));
      const sinc = x === 0 ? 1 : Math.sin(Math.PI * cutoff * x) / (Math.PI * cutoff * x);
      sum += taps[tap] = window * sinc;
    }
    return taps.map((tap) => tap / sum);
  }

  // One array for each channel in, one for each out.
  process(channels) {
    const held = channels.map((samples, index) => {
      const all = new Float32Array(this.kept[index].length + samples.length);
      all.set(this.kept[index]);
      all.set(samples, this.kept[index].length);
      return all;
    });
    const room = held[0].length - 2 * this.half;
    const count = Math.max(0, Math.ceil((room - this.place) / this.step));
    const made = held.map(() => new Float32Array(count));
    for (let index = 0; index < count; index++, this.place += this.step) {
      const whole = Math.floor(this.place);
      const taps = this.table[Math.round((this.place - whole) * Resampler.PHASES)];
      for (let channel = 0; channel < made.length; channel++) {
        let sum = 0;
        for (let tap = 0; tap < taps.length; tap++) sum += taps[tap] * held[channel][whole + tap];
        made[channel][index] = sum;
      }
    }
    const used = Math.min(Math.floor(this.place), room);
    this.place -= used;
    this.kept = held.map((all) => all.slice(used));
    return made;
  }
}

// Hears: frames of 16-bit samples, channels interleaved, in batches.
class Capture extends AudioWorkletProcessor {
  constructor({ processorOptions: { channels, batch } }) {
    super();
    this.channels = channels;
    this.batch = batch;
    this.resampler = sampleRate === RATE ? null : new Resampler(sampleRate, RATE, channels);
    this.first = 0; // number of the first frame of this batch
    this.begin();
  }

  begin() {
    this.pcm = new Int16Array(this.batch * FRAME * this.channels);
    this.filled = 0;
    this.peak = this.power = 0;
  }

  process([input]) {
    if (input.length === 0) return true;
    // One channel for each that is wanted: a mono microphone is heard on both sides.
    let sound = Array.from({ length: this.channels }, (_, n) => input[n % input.length]);
    if (this.resampler) sound = this.resampler.process(sound);
    for (let index = 0; index < sound[0].length; index++) {
      for (const channel of sound) {
        const value = Math.max(-1, Math.min(1, channel[index]));
        this.peak = Math.max(this.peak, Math.abs(value));
        this.power += value * value;
        this.pcm[this.filled++] = Math.min(32767, Math.round(value * 32768));
      }
      if (this.filled === this.pcm.length) this.post();
    }
    return true;
  }

  post() {
    const { pcm, first, peak, filled } = this;
    const rms = Math.sqrt(this.power / filled);
    this.port.postMessage({ pcm: pcm.buffer, first, peak, rms }, [pcm.buffer]);
    this.first += this.batch;
    this.begin();
  }
}

// Plays: a queue that is filled by the page and emptied by the card. It begins when `cushion`
// samples wait, and begins anew so after it has run dry. All counts are in samples of RATE.
class Play extends AudioWorkletProcessor {
  static TELL_EVERY = 15; // calls of `process`: 40 ms at 48 kHz
  static SECONDS = 2; // what the queue holds at most

  constructor({ processorOptions: { channels } }) {
    super();
    this.channels = channels;
    this.size = Play.SECONDS * sampleRate;
    this.ring = Array.from({ length: channels }, () => new Float32Array(this.size));
    this.calls = 0;
    this.stream = 0;
    this.ended = true;
    this.cushion = 1;
    this.reset();
    this.port.onmessage = ({ data }) => this.take(data);
  }

  reset() {
    this.written = this.read = 0; // in samples of the card
    this.received = this.underruns = this.silence = this.dropped = 0;
    this.peak = this.power = this.heard = 0;
    this.flowing = false;
    this.resampler =
      sampleRate === RATE ? null : new Resampler(RATE, sampleRate, this.channels);
  }

  take(data) {
    if (data.kind === "begin") {
      this.reset();
      this.stream = data.stream;
      this.cushion = (data.cushion * sampleRate) / RATE;
      this.ended = false;
    } else if (data.kind === "end") this.ended = true;
    else this.store(new Int16Array(data.pcm));
  }

  store(pcm) {
    const samples = pcm.length / this.channels;
    let sound = Array.from({ length: this.channels }, (_, channel) => {
      const one = new Float32Array(samples);
      for (let n = 0; n < samples; n++) one[n] = pcm[n * this.channels + channel] / 32768;
      return one;
    });
    if (this.resampler) sound = this.resampler.process(sound);
    const count = sound[0].length;
    for (let n = 0; n < count; n++)
      for (let c = 0; c < sound.length; c++) this.ring[c][(this.written + n) % this.size] = sound[c][n];
    this.written += count;
    this.received += samples;
    const over = this.written - this.read - this.size;
    if (over > 0) {
      this.read += over; // the oldest make room
      this.dropped += Math.round((over * RATE) / sampleRate);
    }
  }

  process(_, [out]) {
    const starts = !this.flowing && this.written - this.read >= this.cushion;
    if (starts) this.flowing = true;
    const wanted = out[0].length;
    const taken = this.flowing ? Math.min(wanted, this.written - this.read) : 0;
    for (let c = 0; c < out.length; c++) {
      const ring = this.ring[c % this.channels];
      for (let n = 0; n < taken; n++) {
        const value = (out[c][n] = ring[(this.read + n) % this.size]);
        this.peak = Math.max(this.peak, Math.abs(value));
        this.power += value * value;
      }
    }
    this.read += taken;
    this.heard += wanted * out.length;
    const dry = this.flowing && taken < wanted;
    if (dry) {
      this.flowing = false;
      if (!this.ended) this.underruns++;
    }
    if (!this.ended && this.written > 0) this.silence += wanted - taken;
    if (starts || dry || ++this.calls % Play.TELL_EVERY === 0) this.tell(starts || dry);
    return true;
  }

  tell(news) {
    const ours = (samples) => Math.round((samples * RATE) / sampleRate);
    this.port.postMessage({
      stream: this.stream,
      ended: this.ended,
      received: this.received,
      played: ours(this.read) - this.dropped,
      queued: ours(this.written - this.read),
      underruns: this.underruns,
      silence: ours(this.silence),
      dropped: this.dropped,
      peak: this.peak,
      rms: Math.sqrt(this.power / Math.max(1, this.heard)),
      news,
    });
    this.peak = this.power = this.heard = 0;
  }
}

registerProcessor("labkit-capture", Capture);
registerProcessor("labkit-play", Play);
