// The mathematics of the widgets: pure functions, each the twin of one in ganbook, which a test compares it with.
// Arguments come in the book's order, (real, fake). Matrices are arrays of rows.
(function (root) {
  "use strict";

  const sum = (values) => values.reduce((total, value) => total + value, 0);
  const dot = (a, b) => sum(a.map((value, i) => value * b[i]));
  const norm = (a) => Math.sqrt(dot(a, a));
  const sigmoid = (t) => (t >= 0 ? 1 / (1 + Math.exp(-t)) : Math.exp(t) / (1 + Math.exp(t)));
  const softplus = (t) => Math.max(t, 0) + Math.log1p(Math.exp(-Math.abs(t)));

  function linspace(from, to, n) {
    return Array.from({ length: n }, (_, i) => from + ((to - from) * i) / (n - 1));
  }

  // ---- densities -----------------------------------------------------------------------------------------------

  /** ganbook.divergences.gaussian: the density of N(mean, std²). */
  function gaussian(x, mean, std) {
    const z = (x - mean) / std;
    return Math.exp(-0.5 * z * z) / (std * Math.sqrt(2 * Math.PI));
  }

  /** ganbook.divergences.trapezoid_weights: of the points of a grid. */
  function trapezoidWeights(grid) {
    return grid.map((_, i) => ((grid[i + 1] ?? grid[i]) - (grid[i - 1] ?? grid[i])) / 2);
  }

  /** The best discriminator for fixed densities, p/(p + q); one half where neither goes. */
  function optimalDiscriminator(p, q) {
    return p.map((value, i) => (value + q[i] > 0 ? value / (value + q[i]) : 0.5));
  }

  /** ganbook.divergences.js: in nats, between 0 and log 2. */
  function js(p, q, weights) {
    const part = (a, m) => (a > 0 ? a * Math.log(a / m) : 0);
    return 0.5 * sum(p.map((a, i) => weights[i] * (part(a, (a + q[i]) / 2) + part(q[i], (a + q[i]) / 2))));
  }

  /** ganbook.divergences.kl: in nats, infinite where p goes and q does not. */
  function kl(p, q, weights) {
    return sum(p.map((a, i) => (a > 0 ? weights[i] * a * Math.log(a / q[i]) : 0)));
  }

  /** W₁ of two densities on a grid: the area between their distribution functions. */
  function wassersteinOnGrid(p, q, grid) {
    let [F, G, area] = [0, 0, 0];
    for (let i = 1; i < grid.length; i++) {
      const step = grid[i] - grid[i - 1];
      const before = Math.abs(F - G);
      F += (step * (p[i] + p[i - 1])) / 2;
      G += (step * (q[i] + q[i - 1])) / 2;
      area += (step * (before + Math.abs(F - G))) / 2;
    }
    return area;
  }

  /** ganbook.divergences.wasserstein_1d of order 1, for samples of equal size: sorting solves it. */
  function wasserstein1d(x, y) {
    const a = [...x].sort((s, t) => s - t);
    const b = [...y].sort((s, t) => s - t);
    return sum(a.map((value, i) => Math.abs(value - b[i]))) / a.length;
  }

  /** JSD, KL and W₁ of uniform laws on two intervals of one width whose left ends are `shift` apart. */
  function shiftedIntervals(shift, width) {
    const apart = Math.min(1, Math.abs(shift) / width); // share of the mass without a counterpart
    return { js: apart * Math.log(2), kl: apart > 0 ? Infinity : 0, w1: Math.abs(shift) };
  }

  // ---- losses --------------------------------------------------------------------------------------------------

  const hinge = (t) => Math.max(0, t);
  const step = (t) => (t > 0 ? 1 : 0);

  /** ganbook.losses.LOSSES with their derivatives by the logit that counts: d and g of (real, fake). */
  const losses = {
    minimax: {
      d: (r, f) => softplus(-r) + softplus(f), g: (r, f) => -softplus(f),
      dFake: (r, f) => sigmoid(f), dReal: (r) => -sigmoid(-r), gFake: (r, f) => -sigmoid(f),
    },
    nonsaturating: {
      d: (r, f) => softplus(-r) + softplus(f), g: (r, f) => softplus(-f),
      dFake: (r, f) => sigmoid(f), dReal: (r) => -sigmoid(-r), gFake: (r, f) => -sigmoid(-f),
    },
    lsgan: {
      d: (r, f) => 0.5 * (r - 1) ** 2 + 0.5 * f ** 2, g: (r, f) => 0.5 * (f - 1) ** 2,
      dFake: (r, f) => f, dReal: (r) => r - 1, gFake: (r, f) => f - 1,
    },
    hinge: {
      d: (r, f) => hinge(1 - r) + hinge(1 + f), g: (r, f) => -f,
      dFake: (r, f) => step(1 + f), dReal: (r) => -step(1 - r), gFake: () => -1,
    },
    wasserstein: { d: (r, f) => f - r, g: (r, f) => -f, dFake: () => 1, dReal: () => -1, gFake: () => -1 },
    rpgan: {
      d: (r, f) => softplus(f - r), g: (r, f) => softplus(r - f),
      dFake: (r, f) => sigmoid(f - r), dReal: (r, f) => -sigmoid(f - r), gFake: (r, f) => -sigmoid(r - f),
    },
  };

  // ---- the Dirac-GAN -------------------------------------------------------------------------------------------

  /** ganbook.models.toy.vector_field of dirac_gan(loss, penalty="r1", penalty_weight=gamma) at (θ, ψ). */
  function diracField([theta, psi], { loss = "minimax", gamma = 0 } = {}) {
    const real = loss === "lsgan" ? 0.5 : 0; // D(x) = t* + ψ·x, data at 0, fake at θ
    const fake = real + psi * theta;
    const pair = losses[loss];
    return [-pair.gFake(real, fake) * psi, -pair.dFake(real, fake) * theta - gamma * psi];
  }

  /** One step of ganbook.models.toy.simultaneous or alternating. */
  function diracStep([theta, psi], h, options) {
    const [vTheta, vPsi] = diracField([theta, psi], options);
    if (options.order === "simultaneous") return [theta + h * vTheta, psi + h * vPsi];
    const answered = psi + h * vPsi;
    return [theta + h * diracField([theta, answered], options)[0], answered];
  }

  /** ganbook.models.toy.trajectory: the start and the states after each step; it ends where numbers run away. */
  function diracTrajectory(start, h, steps, options) {
    const states = [start];
    for (let i = 0; i < steps; i++) {
      const next = diracStep(states[i], h, options);
      if (!(norm(next) < 1e6)) break;
      states.push(next);
    }
    return states;
  }

  // ---- power iteration -----------------------------------------------------------------------------------------

  const times = (w, v) => w.map((row) => dot(row, v));
  const transposed = (w) => w[0].map((_, j) => w.map((row) => row[j]));
  const normalised = (v) => v.map((value) => value / Math.max(norm(v), 1e-12));

  /** ganbook.nn.spectral.power_iteration and sigma: (u, v, σ) after each of the steps from the direction v. */
  function powerIteration(w, v, steps) {
    const found = [];
    for (let i = 0; i < steps; i++) {
      const u = normalised(times(w, v));
      v = normalised(times(transposed(w), u));
      found.push({ u, v, sigma: dot(u, times(w, v)) });
    }
    return found;
  }

  /** The singular values of a 2 × 2 matrix, largest first. */
  function singularValues([[a, b], [c, d]]) {
    const [total, difference] = [a * a + b * b + c * c + d * d, a * a + b * b - c * c - d * d];
    const root = Math.sqrt(difference ** 2 + 4 * (a * c + b * d) ** 2);
    return [Math.sqrt((total + root) / 2), Math.sqrt(Math.max(0, (total - root) / 2))];
  }

  // ---- Fréchet distance ----------------------------------------------------------------------------------------

  function mean(rows) {
    return rows[0].map((_, j) => sum(rows.map((row) => row[j])) / rows.length);
  }

  /** The covariance with n - 1, as FID takes it. */
  function covariance(rows) {
    const mu = mean(rows);
    const centred = transposed(rows.map((row) => row.map((value, j) => value - mu[j])));
    return centred.map((a) => centred.map((b) => dot(a, b) / (rows.length - 1)));
  }

  const product = (a, b) => a.map((row) => transposed(b).map((column) => dot(row, column)));

  /** Eigenvalues and eigenvectors (columns) of a symmetric matrix, by Jacobi's rotations. */
  function symmetricEigen(matrix) {
    const n = matrix.length;
    const a = matrix.map((row) => [...row]);
    const vectors = a.map((_, i) => a.map((_, j) => (i === j ? 1 : 0)));
    for (let sweep = 0; sweep < 60; sweep++) {
      let off = 0;
      for (let p = 0; p < n; p++) for (let q = p + 1; q < n; q++) off += a[p][q] ** 2;
      if (off < 1e-22) break;
      for (let p = 0; p < n; p++) for (let q = p + 1; q < n; q++) rotate(a, vectors, p, q);
    }
    return { values: a.map((row, i) => row[i]), vectors };
  }

  function rotate(a, vectors, p, q) {
    if (a[p][q] === 0) return;
    const ratio = (a[q][q] - a[p][p]) / (2 * a[p][q]);
    const t = (ratio >= 0 ? 1 : -1) / (Math.abs(ratio) + Math.hypot(ratio, 1));
    const c = 1 / Math.hypot(t, 1);
    const s = t * c;
    for (const row of [...a, ...vectors]) [row[p], row[q]] = [c * row[p] - s * row[q], s * row[p] + c * row[q]];
    for (let k = 0; k < a.length; k++) [a[p][k], a[q][k]] = [c * a[p][k] - s * a[q][k], s * a[p][k] + c * a[q][k]];
  }

  function squareRoot(matrix) {
    const { values, vectors } = symmetricEigen(matrix);
    const scaled = vectors.map((row) => row.map((value, j) => value * Math.sqrt(Math.max(0, values[j]))));
    return product(scaled, transposed(vectors));
  }

  /** ganbook.metrics.frechet.frechet_distance of the Gaussians fitted to two samples. */
  function frechet(real, fake) {
    const [cov1, cov2] = [covariance(real), covariance(fake)];
    const gap = mean(real).map((value, j) => value - mean(fake)[j]);
    const root = squareRoot(cov1);
    const crossed = symmetricEigen(product(product(root, cov2), root)).values;
    const traces = sum(cov1.map((row, i) => row[i] + cov2[i][i]));
    return dot(gap, gap) + traces - 2 * sum(crossed.map((value) => Math.sqrt(Math.max(0, value))));
  }

  /** ganbook.metrics.frechet.bias_isotropic: what two samples of one N(0, I) are apart on average. */
  const frechetBias = (d, n) => (2 * d + (d * (d + 1)) / 2) / n;

  // ---- fidelity and diversity ----------------------------------------------------------------------------------

  const distance = (a, b) => Math.hypot(...a.map((value, j) => value - b[j]));

  function radii(points, k) {
    return points.map((a, i) => {
      const others = points.filter((_, j) => j !== i).map((b) => distance(a, b));
      return others.sort((s, t) => s - t)[k - 1];
    });
  }

  /** ganbook.metrics.manifold.precision_recall. */
  function precisionRecall(real, fake, k) {
    const share = (points, balls) => {
      const reach = radii(balls, k);
      return points.filter((a) => balls.some((b, i) => distance(a, b) <= reach[i])).length / points.length;
    };
    return { precision: share(fake, real), recall: share(real, fake) };
  }

  /** The coverage of ganbook.metrics.manifold.density_coverage. */
  function coverage(real, fake, k) {
    const reach = radii(real, k);
    return real.filter((a, i) => fake.some((b) => distance(a, b) < reach[i])).length / real.length;
  }

  /** captured and high_quality of ganbook.metrics.modes.mode_statistics. */
  function modeStatistics(samples, means, std, radius) {
    const captured = new Set();
    let good = 0;
    for (const point of samples) {
      const distances = means.map((centre) => distance(point, centre) / std);
      const nearest = Math.min(...distances);
      if (nearest < radius) {
        good += 1;
        captured.add(distances.indexOf(nearest));
      }
    }
    return { captured: captured.size, highQuality: good / samples.length };
  }

  // ---- growing -------------------------------------------------------------------------------------------------

  /** ganbook.nn.resnet.double of one channel: every pixel becomes a square of four. */
  function double(image) {
    return image.flatMap((row) => {
      const wide = row.flatMap((value) => [value, value]);
      return [wide, [...wide]];
    });
  }

  /** Means of squares of four pixels: torch's avg_pool2d(image, 2) of one channel. */
  function halve(image) {
    return Array.from({ length: image.length / 2 }, (_, i) =>
      Array.from({ length: image[0].length / 2 }, (_, j) =>
        (image[2 * i][2 * j] + image[2 * i][2 * j + 1] + image[2 * i + 1][2 * j] + image[2 * i + 1][2 * j + 1]) / 4));
  }

  /** (1 - α)·double(old) + α·new (Karras et al. 2018, figure 2). */
  function fade(old, fresh, alpha) {
    const doubled = double(old);
    return fresh.map((row, i) => row.map((value, j) => (1 - alpha) * doubled[i][j] + alpha * value));
  }

  // ---- the latent sheet ----------------------------------------------------------------------------------------

  /** Left and upper pixel of a tile of the sheet; thickness and slant are 0 … steps - 1. */
  function latentTile(digit, thickness, slant, { steps, side }) {
    return [slant * side, (digit * steps + thickness) * side];
  }

  /** Length of a latent that lies √d out and is moved along two directions at right angles to it and to each other. */
  function latentLength(d, a, b) { return Math.sqrt(d + a * a + b * b); }

  // ---- chance --------------------------------------------------------------------------------------------------

  /** Standard normal numbers from a seed (mulberry32, Box and Muller): the same on every machine. */
  function normals(seed) {
    let state = seed >>> 0;
    const uniform = () => {
      state = (state + 0x6d2b79f5) >>> 0;
      let t = state;
      t = Math.imul(t ^ (t >>> 15), t | 1);
      t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
      return (((t ^ (t >>> 14)) >>> 0) + 0.5) / 4294967296;
    };
    return () => Math.sqrt(-2 * Math.log(uniform())) * Math.cos(2 * Math.PI * uniform());
  }

  root.GanMaths = {
    linspace, gaussian, trapezoidWeights, optimalDiscriminator, js, kl, wassersteinOnGrid, wasserstein1d,
    shiftedIntervals, losses, diracField, diracStep, diracTrajectory, powerIteration, singularValues, frechet,
    frechetBias, precisionRecall, coverage, modeStatistics, double, halve, fade, latentTile, latentLength, normals,
  };
})(typeof window === "undefined" ? globalThis : window);
