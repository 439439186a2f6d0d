// The speaker: message from the kernel, queue on the audio thread, and a report back.
//
// A report is a message to the kernel, and those are dear: five a second, and one at once when sound
// begins or has run dry.

const REPORT_EVERY = 5; // words of the audio thread, which speaks every 40 ms

class SpeakerEngine {
  constructor(model) {
    this.model = model;
    this.words = 0;
    this.now = { peak: 0, rms: 0, queued: 0, underruns: 0 };
    model.on("msg:custom", (message, buffers) => this.take(message, buffers));
  }

  async start() {
    if (this.context || this.model.get("state") === "asking") return;
    tell(this.model, "asking");
    try {
      const channels = this.model.get("channels");
      this.context = await open(this.model.get("context_rate") || RATE);
      this.node = new AudioWorkletNode(this.context, "labkit-play", {
        numberOfInputs: 0,
        outputChannelCount: [channels],
        processorOptions: { channels },
      });
      this.node.port.onmessage = ({ data }) => this.told(data);
      this.node.connect(this.context.destination);
      if (this.begun) this.node.port.postMessage(this.begun);
      tell(this.model, "on");
    } catch (error) {
      this.close();
      tell(this.model, "failed", reason(error));
    }
  }

  take(message, buffers) {
    if (message.kind === "start") this.start();
    else if (message.kind === "stop") this.stop();
    else if (message.kind === "sound") {
      const { buffer, byteOffset, byteLength } = buffers[0];
      const pcm = buffer.slice(byteOffset, byteOffset + byteLength);
      this.node?.port.postMessage({ kind: "sound", pcm }, [pcm]);
    } else {
      this.begun = message.kind === "begin" ? message : null;
      this.node?.port.postMessage(message);
    }
  }

  told(figures) {
    this.now = figures;
    if (figures.news || (!figures.ended && ++this.words % REPORT_EVERY === 0)) {
      const { outputLatency = 0, baseLatency = 0 } = this.context;
      const { peak, rms, news, ...counts } = figures;
      const at = performance.timeOrigin + performance.now();
      this.model.send({ kind: "report", ...counts, output: outputLatency || baseLatency, at });
    }
  }

  stop() {
    if (!this.context) return;
    this.close();
    tell(this.model, "off");
  }

  close() {
    if (this.node) this.node.port.onmessage = null;
    this.node?.disconnect();
    if (this.context?.state !== "closed") this.context?.close();
    this.node = this.context = null;
  }

  level() {
    return this.now;
  }

  figures() {
    const { queued, underruns, ended } = this.now;
    const rate = `${(this.context?.sampleRate ?? 0) / 1000} kHz`;
    const gaps = underruns ? `, ${underruns} gap${underruns === 1 ? "" : "s"}` : "";
    return ended ? rate : `${rate}, ${Math.round(queued / 48)} ms wait${gaps}`;
  }
}

export default () => {
  let engine;
  return {
    initialize({ model }) {
      engine = new SpeakerEngine(model);
      if (model.get("state") !== "off") tell(model, "off");
      return () => engine.close();
    },
    render: views("speaker", () => engine),
  };
};
