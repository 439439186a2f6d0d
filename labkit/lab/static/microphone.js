// The microphone: audio thread, batch, message to the kernel.
//
// The kernel says from time to time how many frames it has heard. While LIMIT others are on their
// way, new ones are dropped: a kernel that was busy finds two seconds, not a minute.

const LIMIT = 100;

class MicrophoneEngine {
  constructor(model) {
    this.model = model;
    this.dropped = this.captured = this.sent = this.heard = 0;
    this.last = { peak: 0, rms: 0 };
    model.on("msg:custom", (message) => {
      if (message.kind === "heard" && message.run === this.run) this.heard = message.frames;
      else if (message.kind === "start") this.start();
      else if (message.kind === "stop") this.stop();
    });
  }

  async start() {
    if (this.context || this.model.get("state") === "asking") return;
    tell(this.model, "asking");
    try {
      await this.connect(this.model.get("context_rate") || RATE);
      tell(this.model, "on");
    } catch (error) {
      this.close();
      tell(this.model, "failed", reason(error));
    }
  }

  async connect(rate) {
    if (!navigator.mediaDevices) throw new DOMException("", "Insecure");
    const clean = this.model.get("echo_cancellation");
    const channels = this.model.get("channels");
    this.stream ??= await navigator.mediaDevices.getUserMedia({
      audio: {
        channelCount: channels, echoCancellation: clean, noiseSuppression: clean, autoGainControl: clean,
      },
    });
    this.context = await open(rate);
    try {
      this.source = this.context.createMediaStreamSource(this.stream);
    } catch (error) {
      if (!rate) throw error;
      await this.context.close(); // this browser takes a microphone at its own rate only
      return this.connect(0);
    }
    const batch = this.model.get("batch");
    this.node = new AudioWorkletNode(this.context, "labkit-capture", {
      numberOfOutputs: 0,
      channelCount: channels,
      channelCountMode: "explicit",
      processorOptions: { channels, batch },
    });
    this.captured = this.sent = this.heard = 0;
    this.run = (this.run ?? 0) + 1;
    this.node.port.onmessage = ({ data }) => this.take(data, batch);
    this.source.connect(this.node);
    this.stream.getAudioTracks()[0].onended = () => this.fail("Gone");
  }

  take({ pcm, first, peak, rms }, batch) {
    this.last = { peak, rms };
    this.captured = first + batch;
    if (this.sent - this.heard + batch > LIMIT) {
      this.dropped += batch;
      return;
    }
    this.sent += batch;
    const at = performance.timeOrigin + performance.now();
    this.model.send({ kind: "sound", run: this.run, first, at }, undefined, [pcm]);
  }

  fail(name) {
    this.close();
    tell(this.model, "failed", REASONS[name]);
  }

  stop() {
    if (!this.context) return;
    this.close();
    tell(this.model, "off");
  }

  close() {
    if (this.node) this.node.port.onmessage = null;
    this.source?.disconnect();
    for (const track of this.stream?.getTracks() ?? []) {
      track.onended = null;
      track.stop();
    }
    if (this.context?.state !== "closed") this.context?.close();
    this.node = this.source = this.stream = this.context = null;
    this.last = { peak: 0, rms: 0 };
  }

  level() {
    return this.last;
  }

  figures() {
    const rate = `${(this.context?.sampleRate ?? 0) / 1000} kHz`;
    const seconds = `${(this.captured / 50).toFixed(0)} s`;
    return `${rate}, ${seconds}` + (this.dropped ? `, ${this.dropped} frames dropped` : "");
  }
}

export default () => {
  let engine;
  return {
    initialize({ model }) {
      engine = new MicrophoneEngine(model);
      if (model.get("state") !== "off") tell(model, "off"); // a page that was loaded anew
      return () => engine.close();
    },
    render: views("microphone", () => engine),
  };
};
