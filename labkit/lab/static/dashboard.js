// Tiles with a name, a number and a graph. The kernel sends all that is to be seen, ten times a
// second; between that the graphs glide, as fast as time went by lately in what was sent.

const WIDTH = 172;
const HEIGHT = 40;

class Board {
  constructor(model, el) {
    this.model = model;
    this.box = document.createElement("div");
    this.box.className = "labkit-dash";
    this.words = document.createElement("div");
    this.words.className = "words";
    el.append(this.box);
    this.tiles = [];
    this.still = matchMedia("(prefers-reduced-motion: reduce)").matches;
    this.rate = 1; // seconds of what is shown in a second of ours
    this.shown = this.now = 0; // the right edge, and the newest
    this.came = 0;
    this.updates = 0;
    this.update();
  }

  update() {
    const tiles = this.model.get("tiles");
    if (tiles.map((tile) => tile.label).join() !== this.labels) this.build(tiles);
    const points = this.model.get("points");
    const rows = 1 + tiles.reduce((sum, tile) => sum + tile.lines.length, 0);
    const all = new Float32Array(points.buffer.slice(points.byteOffset, points.byteOffset + points.byteLength));
    const count = all.length / rows;
    const row = (index) => all.subarray(index * count, (index + 1) * count);
    let next = 1;
    tiles.forEach((tile, index) => {
      const made = this.tiles[index];
      made.value.textContent = tile.value;
      made.note.innerHTML = tile.note; // the kernel has escaped what is not ours
      made.canvas.setAttribute("aria-label", `${tile.label} over time, now ${tile.value}`);
      made.lines = tile.lines.map((colour) => ({ colour, values: row(next++) }));
      made.top = made.lines.reduce((top, line) => line.values.reduce((a, b) => (b > a ? b : a), top), tile.top);
    });
    this.times = row(0);
    this.words.innerHTML = this.model.get("words");
    this.clock(this.model.get("now"));
  }

  // How fast time goes by there: a call that is replayed may run at ten times its speed.
  clock(now) {
    const came = performance.now() / 1000;
    const passed = (now - this.now) / (came - this.came);
    if (this.updates++ && passed >= 0 && came - this.came < 1) this.rate += (passed - this.rate) / 4;
    this.step = now - this.now;
    if (this.step < 0 || this.step > this.model.get("span")) this.shown = now; // something else
    this.now = now;
    this.came = came;
    this.frame ??= requestAnimationFrame((time) => this.draw(time));
  }

  build(tiles) {
    this.labels = tiles.map((tile) => tile.label).join();
    this.tiles = tiles.map((tile) => {
      const box = document.createElement("div");
      box.className = "tile";
      const made = Object.fromEntries(
        Object.entries({ value: "b", canvas: "canvas", note: "div" }).map(([name, kind]) => [
          name,
          document.createElement(kind),
        ]),
      );
      made.note.className = "note";
      made.canvas.setAttribute("role", "img");
      box.append(tile.label, made.value, made.canvas, made.note);
      made.box = box;
      return made;
    });
    this.box.replaceChildren(...this.tiles.map((tile) => tile.box), this.words);
  }

  draw(time) {
    const passed = Math.min(0.1, (time - (this.drawn ?? time)) / 1000);
    this.drawn = time;
    // Never ahead of what is known, never more than two updates behind it.
    const glided = Math.max(this.shown + this.rate * passed, this.now - 2 * Math.abs(this.step));
    this.shown = this.still ? this.now : Math.min(this.now, glided);
    for (const tile of this.tiles) this.graph(tile);
    const quiet = this.shown === this.now && performance.now() / 1000 - this.came > 1;
    if (quiet) this.drawn = undefined;
    this.frame = quiet ? undefined : requestAnimationFrame((next) => this.draw(next));
    this.box.dataset.frames = (this.frames = (this.frames ?? 0) + 1);
  }

  graph({ canvas, lines, top }) {
    const scale = devicePixelRatio || 1;
    if (canvas.width !== WIDTH * scale) Object.assign(canvas, { width: WIDTH * scale, height: HEIGHT * scale });
    const pen = canvas.getContext("2d");
    pen.setTransform(scale, 0, 0, scale, 0, 0);
    pen.clearRect(0, 0, WIDTH, HEIGHT);
    pen.fillStyle = "rgb(128 128 128 / 60%)";
    pen.fillRect(0, HEIGHT - 0.5, WIDTH, 0.5);
    const late = this.now - this.shown;
    const span = this.model.get("span");
    for (const { colour, values } of lines) {
      pen.beginPath();
      let joined = false;
      for (let n = 0; n < values.length; n++) {
        if (Number.isNaN(values[n])) {
          joined = false;
          continue;
        }
        const x = WIDTH * (1 + (this.times[n] + late) / span);
        const y = HEIGHT - 1 - ((HEIGHT - 3) * Math.max(values[n], 0)) / top;
        joined ? pen.lineTo(x, y) : pen.moveTo(x, y);
        joined = true;
      }
      pen.strokeStyle = colour;
      pen.lineWidth = 1.2;
      pen.stroke();
    }
  }

  close() {
    cancelAnimationFrame(this.frame);
  }
}

export default {
  render({ model, el }) {
    const board = new Board(model, el);
    const update = () => board.update();
    model.on("change", update);
    return () => {
      model.off("change", update);
      board.close();
    };
  },
};
