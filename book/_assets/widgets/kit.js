// What the widgets are made of: sliders, choices, readings and plots. No library, no request.
(function (root) {
  "use strict";

  const SVG = "http://www.w3.org/2000/svg";
  const makers = {};

  function element(name, attributes = {}, ...children) {
    const node = document.createElement(name);
    for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
    node.append(...children);
    return node;
  }

  function shape(name, attributes, text) {
    const node = document.createElementNS(SVG, name);
    for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
    if (text !== undefined) node.textContent = text;
    return node;
  }

  /** Digits for reading: 0.69, 12.3, 1,200; infinity as its sign. */
  function show(value, digits = 3) {
    if (!Number.isFinite(value)) return value > 0 ? "∞" : "−∞";
    const text = Math.abs(value) >= 1000 ? Math.round(value).toLocaleString("en") : Number(value.toPrecision(digits)).toString();
    return text.replace("-", "−");
  }

  /** Tick marks at multiples of 1, 2 or 5 times a power of ten; on a logarithmic axis at these numbers themselves. */
  function ticks([low, high], log) {
    if (log) {
      const powers = Array.from({ length: 13 }, (_, k) => 10 ** (k - 4));
      const steps = high / low < 200 ? [1, 2, 5] : [1];
      return powers.flatMap((power) => steps.map((m) => m * power)).filter((t) => t >= low && t <= high);
    }
    const rough = (high - low) / 5;
    const power = 10 ** Math.floor(Math.log10(rough));
    const step = [1, 2, 5, 10].map((m) => m * power).find((s) => s >= rough * 0.999);
    const found = [];
    for (let t = Math.ceil(low / step - 1e-9) * step; t <= high + 1e-9 * step; t += step) found.push(Number(t.toFixed(10)));
    return found;
  }

  /** A plot as wide as its place, with axes; `draw` is called with its pen at every change of size or value. */
  class Plot {
    constructor(host, { x, y, height = 260, xLabel = "", yLabel = "", xLog = false, yLog = false, square = false, yTicks = true }) {
      Object.assign(this, { x, y, height, xLabel, yLabel, xLog, yLog, square, yTicks });
      this.svg = shape("svg", { role: "img", class: "widget-plot" });
      host.append(this.svg);
    }

    begin(words) {
      this.width = Math.max(240, this.svg.parentElement.clientWidth);
      if (this.square) this.width = Math.min(this.width, 420);
      this.tall = this.square ? this.width - 20 : this.height;
      this.box = { left: 46, right: this.width - 10, top: 10, bottom: this.tall - 40 };
      this.svg.setAttribute("viewBox", `0 0 ${this.width} ${this.tall}`);
      this.svg.style.maxWidth = `${this.width}px`;
      this.svg.setAttribute("aria-label", words);
      this.svg.replaceChildren();
      this.axes();
    }

    axes() {
      const { left, right, top, bottom } = this.box;
      for (const t of ticks(this.x, this.xLog)) {
        this.svg.append(shape("line", { class: "widget-grid", x1: this.px(t), x2: this.px(t), y1: top, y2: bottom }));
        this.svg.append(shape("text", { x: this.px(t), y: bottom + 15, "text-anchor": "middle" }, show(t)));
      }
      for (const t of this.yTicks ? ticks(this.y, this.yLog) : []) {
        this.svg.append(shape("line", { class: "widget-grid", x1: left, x2: right, y1: this.py(t), y2: this.py(t) }));
        this.svg.append(shape("text", { x: left - 5, y: this.py(t) + 4, "text-anchor": "end" }, show(t)));
      }
      this.svg.append(shape("text", { x: (left + right) / 2, y: bottom + 33, "text-anchor": "middle" }, this.xLabel));
      const middle = (top + bottom) / 2;
      const turned = { x: 12, y: middle, "text-anchor": "middle", transform: `rotate(-90 12 ${middle})` };
      this.svg.append(shape("text", turned, this.yLabel));
    }

    place(value, [low, high], log, from, to) {
      const share = log ? Math.log(value / low) / Math.log(high / low) : (value - low) / (high - low);
      return from + Math.max(-0.5, Math.min(1.5, share)) * (to - from);
    }

    px(value) { return this.place(value, this.x, this.xLog, this.box.left, this.box.right); }

    py(value) { return this.place(value, this.y, this.yLog, this.box.bottom, this.box.top); }

    clip() {
      if (this.svg.querySelector("clipPath")) return `url(#${this.id})`;
      this.id ??= `clip-${(Plot.count = (Plot.count ?? 0) + 1)}`;
      const { left, right, top, bottom } = this.box;
      const path = shape("clipPath", { id: this.id });
      path.append(shape("rect", { x: left, y: top - 2, width: right - left, height: bottom - top + 4 }));
      this.svg.append(path);
      return `url(#${this.id})`;
    }

    line(points, kind) {
      const path = points.map(([a, b]) => `${this.px(a).toFixed(1)},${this.py(b).toFixed(1)}`).join(" ");
      this.svg.append(shape("polyline", { points: path, class: `widget-line ${kind}`, "clip-path": this.clip() }));
    }

    dots(points, kind, radius = 3) {
      const group = shape("g", { class: `widget-dots ${kind}`, "clip-path": this.clip() });
      for (const [a, b] of points) {
        if (kind.includes("square")) {
          const side = 2 * radius;
          group.append(shape("rect", { x: this.px(a) - radius, y: this.py(b) - radius, width: side, height: side }));
        } else group.append(shape("circle", { cx: this.px(a), cy: this.py(b), r: radius }));
      }
      this.svg.append(group);
    }

    arrow([a, b], [c, d], kind) {
      const [x1, y1, x2, y2] = [this.px(a), this.py(b), this.px(c), this.py(d)];
      const angle = Math.atan2(y2 - y1, x2 - x1);
      const head = [0.5, -0.5].map((turn) => [x2 - 4 * Math.cos(angle + turn), y2 - 4 * Math.sin(angle + turn)]);
      const path = `M${x1},${y1}L${x2},${y2}M${head[0]}L${x2},${y2}L${head[1]}`;
      this.svg.append(shape("path", { d: path, class: `widget-arrow ${kind}`, "clip-path": this.clip() }));
    }

    label(a, b, text, kind, anchor = "start") {
      const place = { x: this.px(a), y: this.py(b), class: `widget-label ${kind}`, "text-anchor": anchor };
      this.svg.append(shape("text", place, text));
    }
  }

  /** One widget: its controls, its readings, and a drawing that follows them. */
  class Widget {
    constructor(host) {
      this.host = host;
      this.values = {};
      this.body = host.querySelector(".widget-body");
      this.controls = element("div", { class: "widget-controls" });
      this.stage = element("div", { class: "widget-stage" });
      this.readings = element("dl", { class: "widget-readings" });
      this.spoken = element("p", { class: "visually-hidden", "aria-live": "polite" });
      this.body.replaceChildren(this.controls, this.stage, this.readings, this.spoken);
    }

    slider(name, label, { min, max, step, value, text = show }) {
      const id = `${this.host.id}-${name}`;
      const input = element("input", { type: "range", id, min, max, step, value });
      const output = element("output", { for: id });
      const update = () => {
        this.values[name] = Number(input.value);
        output.textContent = text(this.values[name]);
        input.setAttribute("aria-valuetext", output.textContent);
      };
      update();
      input.addEventListener("input", () => { update(); this.changed(); });
      this.controls.append(element("div", {}, element("label", { for: id }, label), input, output));
    }

    choice(name, label, options) {
      const id = `${this.host.id}-${name}`;
      const select = element("select", { id });
      for (const [value, text] of options) select.append(element("option", { value }, text));
      this.values[name] = select.value;
      select.addEventListener("change", () => { this.values[name] = select.value; this.changed(); });
      this.controls.append(element("div", {}, element("label", { for: id }, label), select));
    }

    button(label, action) {
      const button = element("button", { type: "button" }, label);
      button.addEventListener("click", () => { action(); this.changed(); });
      this.controls.append(element("div", {}, button));
    }

    plot(options) { return new Plot(this.stage, options); }

    read(rows) {
      this.readings.replaceChildren(
        ...rows.map(([name, value, kind = ""]) =>
          element("div", { class: kind }, element("dt", {}, name), element("dd", {}, value))));
      clearTimeout(this.speaking);
      this.speaking = setTimeout(() => {
        this.spoken.textContent = rows.map(([name, value]) => `${name}: ${value}`).join("; ");
      }, 700);
    }

    changed() { this.draw(this.values); }

    run(draw) {
      this.draw = draw;
      this.changed();
      let width = this.stage.clientWidth;
      new ResizeObserver(() => {
        if (this.stage.clientWidth === width) return;
        width = this.stage.clientWidth;
        this.changed();
      }).observe(this.stage);
    }
  }

  /** Declare a widget: `make` gets an empty one and fills it. */
  function widget(name, make) { makers[name] = make; }

  document.addEventListener("DOMContentLoaded", () => {
    for (const host of document.querySelectorAll("figure.widget[data-widget]")) {
      makers[host.dataset.widget]?.(new Widget(host));
      host.dataset.ready = "yes";
    }
  });

  root.GanKit = { widget, element, show };
})(window);
