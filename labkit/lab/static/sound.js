// What microphone and speaker share in the page: a context, a panel, a level meter.

// An audio context at RATE, or at what this browser allows; with our two processors in it.
async function open(rate) {
  if (!globalThis.AudioWorkletNode || !isSecureContext) throw new DOMException("", "Insecure");
  const context = new AudioContext({ latencyHint: "interactive", ...(rate && { sampleRate: rate }) });
  const url = URL.createObjectURL(new Blob([WORKLETS], { type: "application/javascript" }));
  try {
    await context.audioWorklet.addModule(url);
  } finally {
    URL.revokeObjectURL(url);
  }
  await resumed(context);
  return context;
}

// A browser holds sound back until somebody has touched the page: then `resume` never ends.
async function resumed(context) {
  const late = new Promise((resolve) => setTimeout(resolve, 3000));
  await Promise.race([context.resume(), late]);
  if (context.state !== "running") {
    await context.close();
    throw new DOMException("", "Gesture");
  }
}

// What went wrong, in one of the words that the kernel knows.
const REASONS = {
  NotAllowedError: "refused",
  NotFoundError: "none",
  OverconstrainedError: "none",
  NotReadableError: "busy",
  AbortError: "busy",
  Insecure: "insecure",
  Gesture: "gesture",
  Gone: "gone",
};
const reason = (error) => REASONS[error.name] ?? "other";

// State is a trait, so that every view and the kernel agree on it.
function tell(model, state, why = "") {
  model.set("reason", why);
  model.set("state", state);
  model.save_changes();
}

const ICONS = {
  microphone: "M12 15a3 3 0 0 0 3-3V6a3 3 0 0 0-6 0v6a3 3 0 0 0 3 3zm5-3a5 5 0 0 1-10 0H5a7 7 0 0 0 6 6.9V22h2v-3.1A7 7 0 0 0 19 12z",
  speaker: "M4 9v6h4l5 4V5L8 9zm11.5 3a4 4 0 0 0-2-3.5v7a4 4 0 0 0 2-3.5zm-2-8v2.1a6 6 0 0 1 0 11.8V20a8 8 0 0 0 0-16z",
};

function element(name, properties = {}, attributes = {}) {
  const made = Object.assign(document.createElement(name), properties);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  return made;
}

// A view: button, meter, a line of text. `engine` has start, stop, level() and figures().
function panel({ model, el, kind, engine }) {
  const button = element("button", { type: "button" });
  const meter = element("canvas", { className: "meter" }, {
    role: "meter", "aria-label": `${kind} level`, "aria-valuemin": -60, "aria-valuemax": 0,
  });
  const status = element("span", { className: "status" }, { role: "status" });
  const figures = element("span", { className: "figures" });
  const box = element("div", { className: "labkit-sound" }, { role: "group", "aria-label": kind });
  const text = element("div", { className: "text" });
  text.append(status, figures);
  box.append(button, meter, text);
  el.append(box);

  button.onclick = () => (model.get("state") === "on" ? engine.stop() : engine.start());
  const show = () => {
    const state = model.get("state");
    const verb = state === "on" ? "Stop" : "Start";
    button.innerHTML = `<svg viewBox="0 0 24 24" aria-hidden="true"><path d="${ICONS[kind]}"/></svg>`;
    button.append(`${verb} ${kind}`);
    button.disabled = state === "asking";
    box.dataset.state = state;
    status.textContent = model.get("texts")[state === "failed" ? model.get("reason") : state] ?? state;
  };
  model.on("change:state change:reason", show);
  show();

  let frame = requestAnimationFrame(draw);
  let last = 0;
  let said = 0;
  let held = -60; // the peak that stays for a moment
  function draw(now) {
    frame = requestAnimationFrame(draw);
    const on = model.get("state") === "on";
    const { peak, rms } = on ? engine.level() : { peak: 0, rms: 0 };
    held = Math.max(decibels(peak), held - (now - last) * 0.03);
    last = now;
    drawMeter(meter, decibels(rms), held);
    if (now - said < 500) return;
    said = now; // for people, and for those who listen to the page
    meter.setAttribute("aria-valuenow", Math.round(decibels(rms)));
    meter.setAttribute("aria-valuetext", on ? `${Math.round(decibels(rms))} decibels` : "off");
    figures.textContent = on ? engine.figures() : "";
  }
  return () => {
    cancelAnimationFrame(frame);
    model.off("change:state change:reason", show);
  };
}

const decibels = (value) => Math.max(-60, 20 * Math.log10(Math.max(value, 1e-3)));

function drawMeter(canvas, rms, peak) {
  const scale = devicePixelRatio || 1;
  const [width, height] = [canvas.clientWidth * scale, canvas.clientHeight * scale].map(Math.round);
  if (canvas.width !== width) canvas.width = width;
  if (canvas.height !== height) canvas.height = height;
  const style = getComputedStyle(canvas);
  const pen = canvas.getContext("2d");
  const x = (level) => ((level + 60) / 60) * width;
  pen.clearRect(0, 0, width, height);
  for (const [from, to, name] of [[-60, -18, "--calm"], [-18, -6, "--loud"], [-6, 0, "--clipping"]]) {
    pen.fillStyle = style.getPropertyValue(name);
    if (rms > from) pen.fillRect(x(from), 0, x(Math.min(rms, to)) - x(from), height);
    if (peak > from && peak <= to) pen.fillRect(x(peak) - 2 * scale, 0, 2 * scale, height);
  }
  pen.fillStyle = style.getPropertyValue("--mark");
  for (let level = -48; level < 0; level += 12) pen.fillRect(Math.round(x(level)), 0, scale, height);
}

// Views come and go, the engine is one. When nobody sees it any more it stops: no microphone is
// open without a button to close it.
function views(kind, engine) {
  let count = 0;
  return ({ model, el }) => {
    count++;
    const close = panel({ model, el, kind, engine: engine() });
    return () => {
      close();
      if (--count === 0) engine().stop();
    };
  };
}
