// Random matrices in the browser: draws and their spectra, fast enough to follow a finger.
// Each has its counterpart in Python; tests/browser/test_stage.py compares the two.

// A source of random numbers from a seed (mulberry32), with the laws that are drawn from.
function source(seed) {
  let state = (seed * 2654435761) >>> 0
  let spare = null
  const uniform = () => {
    state = (state + 0x6d2b79f5) >>> 0
    let t = state
    t = Math.imul(t ^ (t >>> 15), t | 1)
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61)
    return (((t ^ (t >>> 14)) >>> 0) + 0.5) / 4294967296
  }
  const normal = () => {
    if (spare !== null) {
      const kept = spare
      spare = null
      return kept
    }
    const radius = Math.sqrt(-2 * Math.log(uniform()))
    const angle = 2 * Math.PI * uniform()
    spare = radius * Math.sin(angle)
    return radius * Math.cos(angle)
  }
  // Marsaglia and Tsang (2000); below shape 1 by a power of a uniform number.
  const gamma = (shape) => {
    if (shape < 1) return gamma(shape + 1) * uniform() ** (1 / shape)
    const d = shape - 1 / 3
    const c = 1 / Math.sqrt(9 * d)
    for (;;) {
      const x = normal()
      const v = (1 + c * x) ** 3
      if (v > 0 && Math.log(uniform()) < 0.5 * x * x + d - d * v + d * Math.log(v)) return d * v
    }
  }
  const chi2 = (freedom) => 2 * gamma(freedom / 2)
  const t = (nu) => normal() / Math.sqrt(chi2(nu) / nu)
  return { uniform, normal, chi2, t }
}

// Entries of variance 1, by the names of the universality lesson.
const ENTRIES = {
  gaussian: (rng) => rng.normal(),
  sign: (rng) => (rng.uniform() < 0.5 ? -1 : 1),
  uniform: (rng) => Math.sqrt(12) * (rng.uniform() - 0.5),
  t: (rng, nu) => rng.t(nu) * Math.sqrt((nu - 2) / nu),
}

// The tridiagonal form of (N + x√n u vᵀ)(…)ᵀ for p × n Gaussian noise N, exact in law:
// Dumitriu and Edelman (2002); the spike only lengthens the first row.
function tridiagonal(p, n, rng, x = 0) {
  const first = rng.normal()
  const d = Float64Array.from({ length: p }, (_, i) => rng.chi2(i ? n - i : n - 1 || 1))
  d[0] = (n > 1 ? d[0] : 0) + (first + x * Math.sqrt(n)) ** 2
  const e = Float64Array.from({ length: p - 1 }, (_, i) => rng.chi2(p - 1 - i))
  const diagonal = d.map((value, i) => value + (i ? e[i - 1] : 0))
  const beside = e.map((value, i) => Math.sqrt(value * d[i]))
  return { diagonal, beside }
}

// All eigenvalues (ascending) of a symmetric tridiagonal matrix, and the squared first entry of
// each eigenvector: implicit QL, of which only the first row is kept (Golub and Welsch 1969).
function eigen({ diagonal, beside }) {
  const n = diagonal.length
  const d = Float64Array.from(diagonal)
  const e = new Float64Array(n)
  e.set(beside)
  const z = new Float64Array(n)
  z[0] = 1
  for (let l = 0; l < n; l++) {
    for (let turn = 0; turn < 60; turn++) {
      let m = l
      while (m < n - 1 && Math.abs(e[m]) > 2.3e-16 * (Math.abs(d[m]) + Math.abs(d[m + 1]))) m++
      if (m === l) break
      let g = (d[l + 1] - d[l]) / (2 * e[l])
      let r = Math.sqrt(g * g + 1)
      g = d[m] - d[l] + e[l] / (g + (g >= 0 ? r : -r))
      let s = 1
      let c = 1
      let p = 0
      let i = m - 1
      for (; i >= l; i--) {
        const f = s * e[i]
        const b = c * e[i]
        r = Math.sqrt(f * f + g * g)
        e[i + 1] = r
        if (r === 0) {
          d[i + 1] -= p
          e[m] = 0
          break
        }
        s = f / r
        c = g / r
        g = d[i + 1] - p
        r = (d[i] - g) * s + 2 * c * b
        p = s * r
        d[i + 1] = g + p
        g = c * r - b
        const upper = z[i + 1]
        z[i + 1] = s * z[i] + c * upper
        z[i] = c * z[i] - s * upper
      }
      if (r === 0 && i >= l) continue
      d[l] -= p
      e[l] = g
      e[m] = 0
    }
  }
  const order = Array.from(d.keys()).sort((i, j) => d[i] - d[j])
  return { values: order.map((i) => d[i]), first: order.map((i) => z[i] * z[i]) }
}

// The largest eigenvalue alone, by bisection on the signs of Sturm's sequence.
function largest({ diagonal, beside }) {
  const n = diagonal.length
  let low = Math.max(...diagonal)
  let high = 0
  for (let i = 0; i < n; i++) {
    high = Math.max(high, diagonal[i] + (i ? beside[i - 1] : 0) + (i < n - 1 ? beside[i] : 0))
  }
  const above = (x) => {
    let q = diagonal[0] - x
    if (q >= 0) return true
    for (let i = 1; i < n; i++) {
      q = diagonal[i] - x - (beside[i - 1] * beside[i - 1]) / q
      if (q >= 0) return true
    }
    return false
  }
  while (high - low > 1e-10 * high) {
    const middle = (low + high) / 2
    if (above(middle)) low = middle
    else high = middle
  }
  return (low + high) / 2
}

// The tridiagonal form of a symmetric matrix (rows of it, overwritten), by Householder.
function reduced(a) {
  const n = a.length
  const diagonal = new Float64Array(n)
  const beside = new Float64Array(n - 1)
  const p = new Float64Array(n)
  for (let k = 0; k < n - 1; k++) {
    diagonal[k] = a[k][k]
    let norm = 0
    for (let i = k + 1; i < n; i++) norm += a[i][k] * a[i][k]
    const alpha = a[k + 1][k] > 0 ? -Math.sqrt(norm) : Math.sqrt(norm)
    beside[k] = Math.abs(alpha)
    const v = new Float64Array(n)
    for (let i = k + 1; i < n; i++) v[i] = a[i][k]
    v[k + 1] -= alpha
    const scale = norm - alpha * a[k + 1][k]
    if (scale <= 0) continue
    let inner = 0
    for (let i = k + 1; i < n; i++) {
      let sum = 0
      for (let j = k + 1; j < n; j++) sum += a[i][j] * v[j]
      p[i] = sum / scale
      inner += p[i] * v[i]
    }
    for (let i = k + 1; i < n; i++) {
      const q = p[i] - (inner / (2 * scale)) * v[i]
      p[i] = q
    }
    for (let i = k + 1; i < n; i++) {
      for (let j = k + 1; j < n; j++) a[i][j] -= v[i] * p[j] + p[i] * v[j]
    }
  }
  diagonal[n - 1] = a[n - 1][n - 1]
  return { diagonal, beside }
}

// The singular values (ascending) of a matrix given by its rows, no more rows than columns.
function singularValues(rows) {
  const p = rows.length
  const gram = Array.from({ length: p }, () => new Float64Array(p))
  for (let i = 0; i < p; i++) {
    for (let j = 0; j <= i; j++) {
      let sum = 0
      for (let k = 0; k < rows[i].length; k++) sum += rows[i][k] * rows[j][k]
      gram[i][j] = gram[j][i] = sum
    }
  }
  return eigen(reduced(gram)).values.map((value) => Math.sqrt(Math.max(value, 0)))
}

// The density of singular values of p × n noise, p ≤ n (Marchenko and Pastur 1967).
function density(s, p, n, sigma) {
  const low = sigma * (Math.sqrt(n) - Math.sqrt(p))
  const high = sigma * (Math.sqrt(n) + Math.sqrt(p))
  if (s < low || s > high) return 0
  if (low === 0 && s === 0) return high / (Math.PI * p * sigma * sigma)
  return Math.sqrt((high * high - s * s) * (s * s - low * low)) / (Math.PI * p * sigma * sigma * s)
}

// Where a spike of strength x lands, in units of σ√n, and the share of its direction that is
// right on the shorter side (Benaych-Georges and Nadakuditi 2012).
const detection = (c) => c ** 0.25
const landing = (x, c) => {
  const at = Math.max(x, detection(c))
  return Math.sqrt((at + 1 / at) * (at + c / at))
}
const share = (x, c) => (x <= detection(c) ? 0 : (1 - c / x ** 4) / (1 + c / x ** 2))

// BEMA's variance: the slope through the origin of the sorted eigenvalues on the quantiles.
function slope(eigenvalues, quantiles, alpha) {
  const p = quantiles.length
  const from = Math.max(Math.ceil(alpha * p - 1e-9) - 1, 0)
  const to = Math.floor((1 - alpha) * p + 1e-9)
  let xy = 0
  let xx = 0
  for (let k = from; k < to; k++) {
    xy += quantiles[k] * eigenvalues[k]
    xx += quantiles[k] * quantiles[k]
  }
  return { variance: xy / xx, from, to }
}

// How many values fall into each of the bins of one width from `low`.
function counted(values, low, width, bins) {
  const counts = new Array(bins).fill(0)
  for (const value of values) {
    const bin = Math.floor((value - low) / width)
    if (bin >= 0 && bin < bins) counts[bin]++
  }
  return counts
}
