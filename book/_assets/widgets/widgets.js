// The widgets of the chapters, one function each. Blue is the data, orange the generator, as in the figures.
(function () {
  "use strict";

  const { widget, element, show } = window.GanKit;
  const M = window.GanMaths;
  const range = (n) => Array.from({ length: n }, (_, i) => i);
  const zip = (a, b) => a.map((value, i) => [value, b[i]]);
  const HERE = document.currentScript.src.replace(/[^/]*$/, "");
  const two = (value) => value.toFixed(2).replace("-", "−");

  widget("densities", (w) => {
    w.slider("mean", "mean of the generator", { min: -4, max: 4, step: 0.05, value: 1.5, text: two });
    w.slider("std", "its standard deviation", { min: 0.2, max: 3, step: 0.05, value: 0.7, text: two });
    const grid = M.linspace(-12, 12, 2401);
    const weights = M.trapezoidWeights(grid);
    const data = grid.map((x) => M.gaussian(x, 0, 1));
    const densities = w.plot({ x: [-5, 5], y: [0, 1], height: 220, xLabel: "x", yLabel: "density" });
    const judge = w.plot({ x: [-5, 5], y: [0, 1], height: 190, xLabel: "x", yLabel: "σ(D*(x))" });
    w.run(({ mean, std }) => {
      const fake = grid.map((x) => M.gaussian(x, mean, std));
      const best = M.optimalDiscriminator(data, fake);
      const js = M.js(data, fake, weights);
      densities.y = [0, Math.max(0.5, 0.45 / std)];
      densities.begin(`Density of the data, standard normal, and of the generator, mean ${two(mean)}, standard deviation ${two(std)}.`);
      densities.line(zip(grid, data), "real");
      densities.line(zip(grid, fake), "fake");
      judge.begin("The best discriminator between the two: the data's share of the density at each point.");
      judge.line([[-5, 0.5], [5, 0.5]], "faint");
      judge.line(zip(grid, best), "plain");
      w.read([
        ["data", "N(0, 1)", "real"], ["generator", `N(${two(mean)}, ${two(std)}²)`, "fake"],
        ["Jensen–Shannon divergence", `${show(js)} nats`],
        ["best value of the game", show(2 * js - Math.log(4))],
        ["Wasserstein distance W₁", show(M.wassersteinOnGrid(data, fake, grid))],
      ]);
    });
  });

  widget("losses", (w) => {
    w.choice("loss", "loss", Object.keys(M.losses).map((name) => [name, name]));
    w.slider("logit", "logit of the fake sample", { min: -6, max: 6, step: 0.1, value: -3, text: (v) => v.toFixed(1).replace("-", "−") });
    const t = M.linspace(-6, 6, 241);
    const values = w.plot({ x: [-6, 6], y: [-6, 6], height: 240, xLabel: "logit D(G(z))", yLabel: "loss" });
    w.run(({ loss, logit }) => {
      const { d, g, gFake, dFake } = M.losses[loss];
      values.begin(`Losses of both players under ${loss} against the logit of the fake sample, the real one's logit held at 0.`);
      values.line([[logit, -6], [logit, 6]], "faint");
      values.line(t.map((f) => [f, d(0, f)]), "plain");
      values.line(t.map((f) => [f, g(0, f)]), "fake");
      values.dots([[logit, g(0, logit)]], "fake", 4);
      values.dots([[logit, d(0, logit)]], "plain", 4);
      w.read([
        ["generator's loss", show(g(0, logit)), "fake"],
        ["generator's slope", show(gFake(0, logit)), "fake"],
        ["discriminator's loss, real logit 0", show(d(0, logit)), "plain"],
        ["discriminator's slope", show(dFake(0, logit)), "plain"],
      ]);
    });
  });

  widget("lines", (w) => {
    w.slider("shift", "shift θ", { min: -2, max: 2, step: 0.02, value: 0.6, text: two });
    w.slider("width", "width of the intervals", { min: 0.02, max: 1.5, step: 0.02, value: 0.5, text: two });
    const where = w.plot({ x: [-2.2, 3.7], y: [0, 1], height: 100, xLabel: "x", yTicks: false });
    const curves = w.plot({ x: [-2, 2], y: [0, 2], height: 230, xLabel: "shift θ", yLabel: "distance" });
    w.run(({ shift, width }) => {
      const at = M.shiftedIntervals(shift, width);
      const all = M.linspace(-2, 2, 401).map((s) => [s, M.shiftedIntervals(s, width)]);
      where.begin(`Two intervals of width ${two(width)}, the generator's ${two(shift)} to the right of the data's.`);
      where.line([[0, 0.7], [width, 0.7]], "real thick");
      where.line([[shift, 0.3], [shift + width, 0.3]], "fake thick");
      curves.begin("Jensen–Shannon divergence and Wasserstein distance against the shift: flat beyond the width, and a straight slope.");
      curves.line(all.map(([s, v]) => [s, v.w1]), "plain");
      curves.line(all.map(([s, v]) => [s, v.js]), "other");
      curves.dots([[shift, at.w1]], "plain", 4);
      curves.dots([[shift, at.js]], "other", 4);
      w.read([
        ["W₁", show(at.w1), "plain"],
        ["Jensen–Shannon", `${show(at.js)} nats${Math.abs(shift) >= width ? ", flat" : ""}`, "other"],
        ["Kullback–Leibler", show(at.kl)],
      ]);
    });
  });

  widget("power", (w) => {
    w.slider("ratio", "σ₂ / σ₁", { min: 0, max: 1, step: 0.01, value: 0.7, text: two });
    w.slider("angle", "start, degrees from the first right singular vector", { min: 0, max: 90, step: 1, value: 80, text: (v) => `${v}°` });
    w.slider("steps", "steps", { min: 1, max: 15, step: 1, value: 6 });
    const TURN = 0.5; // the singular vectors lie askew, so that nothing can be read off the matrix
    const plot = w.plot({ x: [-1.3, 1.3], y: [-1.3, 1.3], square: true, xLabel: "first coordinate", yLabel: "second coordinate" });
    w.run(({ ratio, angle, steps }) => {
      const [c, s] = [Math.cos(TURN), Math.sin(TURN)];
      const matrix = [[c, -s * ratio], [s, c * ratio]]; // rotation times diag(1, ratio)
      const start = [Math.cos((angle * Math.PI) / 180), Math.sin((angle * Math.PI) / 180)];
      const found = M.powerIteration(matrix, start, steps);
      const circle = M.linspace(0, 2 * Math.PI, 121).map((a) => [Math.cos(a), Math.sin(a)]);
      plot.begin(`The unit circle, its image under W, an ellipse of half axes 1 and ${two(ratio)}, and the estimated direction after ${steps} steps.`);
      plot.line(circle, "faint");
      plot.line(circle.map((v) => matrix.map((row) => row[0] * v[0] + row[1] * v[1])), "plain");
      plot.arrow([0, 0], start, "other");
      found.forEach(({ u }, i) => plot.arrow([0, 0], u, i === steps - 1 ? "fake" : "faint"));
      const { sigma } = found[steps - 1];
      w.read([
        ["true norm σ₁", show(M.singularValues(matrix)[0]), "plain"],
        ["estimate uᵀWv", show(sigma, 6), "fake"],
        ["short by", show(Math.max(0, M.singularValues(matrix)[0] - sigma), 2)],
      ]);
    });
  });

  widget("dirac", (w) => {
    w.choice("loss", "loss", ["minimax", "nonsaturating", "wasserstein", "hinge", "lsgan"].map((name) => [name, name]));
    w.choice("order", "steps", [["alternating", "alternating"], ["simultaneous", "simultaneous"]]);
    w.slider("h", "step size h", { min: 0.01, max: 1, step: 0.01, value: 0.2, text: two });
    w.slider("gamma", "weight γ of R1", { min: 0, max: 3, step: 0.05, value: 0, text: two });
    const STEPS = 300;
    const plane = w.plot({ x: [-2, 2], y: [-2, 2], square: true, xLabel: "generator θ", yLabel: "discriminator ψ" });
    w.run(({ loss, order, h, gamma }) => {
      const options = { loss, order, gamma };
      const states = M.diracTrajectory([1, 0], h, STEPS, options);
      plane.begin(`Phase portrait: ${states.length - 1} ${order} steps from θ = 1, ψ = 0 under ${loss}, step ${two(h)}, R1 weight ${two(gamma)}.`);
      const ruler = M.linspace(-1.8, 1.8, 10);
      for (const theta of ruler) for (const psi of ruler) {
        const v = M.diracField([theta, psi], options);
        const scale = 0.14 / Math.max(0.3, Math.hypot(...v));
        plane.arrow([theta, psi], [theta + scale * v[0], psi + scale * v[1]], "faint");
      }
      plane.line(states, "fake");
      plane.dots([states[0]], "plain", 4);
      plane.dots([states[states.length - 1]], "fake", 4);
      plane.dots([[0, 0]], "real", 4);
      const end = Math.hypot(...states[states.length - 1]);
      const verdict = !(end < 1e3) || states.length <= STEPS ? "runs away" : end < 0.05 ? "arrives" : end > 1.5 ? "spirals out" : "keeps turning, or has not settled yet";
      w.read([
        ["after", `${states.length - 1} steps`], ["distance from the equilibrium", show(end), "fake"], ["outcome", verdict],
      ]);
    });
  });

  widget("bias", (w) => {
    w.slider("d", "dimensions of the features", { min: 1, max: 12, step: 1, value: 8 });
    w.slider("n", "samples in each set", { min: 20, max: 400, step: 10, value: 60 });
    let seed = 1;
    w.button("Draw again", () => { seed += 1; });
    const sizes = [20, 40, 60, 100, 150, 200, 300, 400];
    const plot = w.plot({ x: [15, 450], y: [0, 3], xLog: true, height: 260, xLabel: "samples n, logarithmic", yLabel: "Fréchet distance" });
    w.run(({ d, n }) => {
      const draw = M.normals(1000 * seed + d);
      const sample = (count) => range(count).map(() => range(d).map(draw));
      const once = (count) => M.frechet(sample(count), sample(count));
      const found = sizes.map((size) => [size, once(size)]);
      const here = once(n);
      plot.y = [0, Math.max(0.3, ...found.map(([, value]) => value)) * 1.1];
      plot.begin(`Fréchet distance between two samples of one and the same normal law in ${d} dimensions, falling with the number of samples.`);
      plot.line(M.linspace(Math.log(15), Math.log(450), 80).map((k) => [Math.exp(k), M.frechetBias(d, Math.exp(k))]), "plain");
      plot.dots(found, "fake", 3.5);
      plot.dots([[n, here]], "other square", 5);
      w.read([
        ["true distance", "0"], [`measured at n = ${n}`, show(here), "other"],
        ["expected bias, to first order", show(M.frechetBias(d, n)), "plain"],
      ]);
    });
  });

  widget("coverage", (w) => {
    w.slider("modes", "modes that the generator reaches, of 8", { min: 1, max: 8, step: 1, value: 5 });
    w.slider("spread", "its spread, in units of the data's", { min: 0.1, max: 4, step: 0.1, value: 1, text: (v) => v.toFixed(1) });
    const [STD, N, K] = [0.15, 160, 5];
    const centres = range(8).map((i) => [2 * Math.cos((i * Math.PI) / 4), 2 * Math.sin((i * Math.PI) / 4)]);
    const plot = w.plot({ x: [-3.2, 3.2], y: [-3.2, 3.2], square: true, xLabel: "x₁", yLabel: "x₂" });
    const cloud = (seed, modes, std) => {
      const draw = M.normals(seed);
      return range(N).map((i) => centres[i % modes].map((c) => c + std * draw()));
    };
    const real = cloud(1, 8, STD);
    w.run(({ modes, spread }) => {
      const fake = cloud(2, modes, spread * STD);
      const { precision, recall } = M.precisionRecall(real, fake, K);
      const found = M.modeStatistics(fake, centres, STD, 3);
      plot.begin(`Ring of eight Gaussians; the generator reaches ${modes} of them with ${spread.toFixed(1)} times the data's spread.`);
      plot.dots(real, "real", 2.2);
      plot.dots(fake, "fake square", 2);
      w.read([
        ["precision", show(precision, 2)], ["recall", show(recall, 2)], ["coverage", show(M.coverage(real, fake, K), 2)],
        ["modes captured", `${found.captured} of 8`], ["of high quality", `${Math.round(100 * found.highQuality)}%`],
      ]);
    });
  });

  widget("fade", (w) => {
    w.slider("alpha", "α, the new block's share", { min: 0, max: 1, step: 0.01, value: 0.3, text: two });
    const bytes = Uint8Array.from(atob(window.GanPicture), (c) => c.charCodeAt(0));
    const SIDE = Math.sqrt(bytes.length / 3);
    const channels = range(3).map((c) => range(SIDE).map((i) => range(SIDE).map((j) => bytes[3 * (i * SIDE + j) + c])));
    const picture = (title) => {
      const canvas = element("canvas", { width: SIDE, height: SIDE, role: "img", "aria-label": title });
      const box = element("div", { class: "widget-picture" }, canvas, element("span", {}, title));
      return { box, canvas };
    };
    const paint = (canvas, image) => {
      const context = canvas.getContext("2d");
      const data = context.createImageData(SIDE, SIDE);
      for (const i of range(SIDE)) for (const j of range(SIDE)) {
        data.data.set([image[0][i][j], image[1][i][j], image[2][i][j], 255], 4 * (i * SIDE + j));
      }
      context.putImageData(data, 0, 0);
    };
    const parts = ["old block, doubled", "shown", "new block"].map(picture);
    w.stage.append(element("div", { class: "widget-pictures" }, ...parts.map((part) => part.box)));
    const old = channels.map(M.halve);
    w.run(({ alpha }) => {
      paint(parts[0].canvas, old.map(M.double));
      paint(parts[1].canvas, channels.map((channel, c) => M.fade(old[c], channel, alpha)));
      paint(parts[2].canvas, channels);
      w.read([["shown", `${two(1 - alpha)} × old + ${two(alpha)} × new`]]);
    });
  });

  widget("latent", (w) => {
    const SHEET = { steps: 9, side: 28 };
    const MIDDLE = (SHEET.steps - 1) / 2;
    const signed = (place) => (place > MIDDLE ? "+" : "") + show(place - MIDDLE);
    const places = { min: 0, max: SHEET.steps - 1, step: 1, value: MIDDLE, text: signed };
    w.slider("thickness", "along the direction of thickness", places);
    w.slider("slant", "along the direction of slant", places);
    w.slider("digit", "digit asked for", { min: 0, max: 9, step: 1, value: 7 });
    const canvas = element("canvas", { width: SHEET.side, height: SHEET.side, role: "img" });
    w.stage.append(element("div", { class: "widget-pictures" }, element("div", { class: "widget-picture" }, canvas)));
    const image = new Image();
    image.addEventListener("load", () => w.changed());
    w.run(({ thickness, slant, digit }) => {
      const moved = `${signed(thickness)} along thickness and ${signed(slant)} along slant`;
      canvas.setAttribute("aria-label", `The digit ${digit}, its latent moved by ${moved}.`);
      const [x, y] = M.latentTile(digit, thickness, slant, SHEET);
      if (image.naturalWidth) canvas.getContext("2d").drawImage(image, x, y, SHEET.side, SHEET.side, 0, 0, SHEET.side, SHEET.side);
      w.read([
        ["latent moved by", `${signed(thickness)} and ${signed(slant)}`],
        ["length of the latent", two(M.latentLength(64, thickness - MIDDLE, slant - MIDDLE)), "fake"],
        ["of a usual draw", "about 8"],
      ]);
    });
    image.src = `${HERE}latent-sheet.png`;
  });
})();
