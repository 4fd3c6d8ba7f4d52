// The pictures of the lessons: from knobs and data to panels of marks and a few facts.
// A scene draws nothing itself; stage.js does, so that all look alike.

const TAU = 2 * Math.PI
const grid = (low, high, steps) =>
  Array.from({ length: steps + 1 }, (_, i) => low + ((high - low) * i) / steps)

// A number as people read it: three digits that count, a true minus.
function num(value, digits = 3) {
  if (!Number.isFinite(value)) return "∞"
  const size = Math.abs(value)
  const text = size >= 10 ** digits || size === 0 ? value.toFixed(0) : value.toPrecision(digits)
  return text.replace("-", "−")
}
const percent = (value, digits = 0) => (100 * value).toFixed(digits) + " %"

// The last result for the same inputs: dragging one knob does not draw everything anew.
function remembered(make) {
  let key = null
  let kept = null
  return (...inputs) => {
    const now = JSON.stringify(inputs)
    if (now !== key) {
      key = now
      kept = make(...inputs)
    }
    return kept
  }
}

// Bars of counts, one colour a bar: `colour` maps a bin's middle to the name of a colour.
function bars(values, low, high, bins, colour = () => "noise") {
  const width = (high - low) / bins
  const heights = counted(values, low, width, bins)
  return { kind: "bars", low, width, heights, colours: heights.map((_, i) => colour(low + (i + 0.5) * width)) }
}

// The law as counts a bin.
function law(p, n, sigma, total, width, unit = 1) {
  const low = sigma * (Math.sqrt(n) - Math.sqrt(p))
  const high = sigma * (Math.sqrt(n) + Math.sqrt(p))
  const x = grid(0, Math.PI, 160).map((t) => low + ((high - low) * (1 - Math.cos(t))) / 2)
  const y = x.map((s) => total * width * density(s, p, n, sigma))
  return { kind: "line", x: x.map((s) => s / unit), y, colour: "theory", width: 2.5 }
}

const tallest = (...marks) =>
  1.15 * Math.max(1, ...marks.map((mark) => Math.max(...(mark.heights ?? mark.y).filter(Number.isFinite))))

const drawnNoise = remembered((p, n, seed) =>
  eigen(tridiagonal(p, n, source(seed))).values.map((value) => Math.sqrt(Math.max(value, 0))),
)

function noise(knobs, data, words) {
  const [p, n] = [Math.min(knobs.m, knobs.n), Math.max(knobs.m, knobs.n)]
  const values = drawnNoise(p, n, knobs.seed).map((value) => knobs.sigma * value)
  const low = knobs.sigma * (Math.sqrt(n) - Math.sqrt(p))
  const high = knobs.sigma * (Math.sqrt(n) + Math.sqrt(p))
  const reach = 10 * Math.ceil((1.06 * high) / 10)
  const bins = Math.max(12, Math.round((2.2 * Math.sqrt(p) * reach) / high))
  const shown = bars(values, 0, reach, bins)
  const curve = law(p, n, knobs.sigma, p, shown.width)
  return {
    panels: [
      {
        x: { low: 0, high: reach, label: words.axis },
        y: { low: 0, high: tallest(shown, curve), label: words.count },
        marks: [
          shown,
          curve,
          ...(low > 0 ? [{ kind: "rule", x: low, colour: "theory", dash: true, text: words.lower, side: "left" }] : []),
          { kind: "rule", x: high, colour: "theory", dash: true, text: words.upper, side: "right" },
        ],
      },
    ],
    facts: [
      [words.largest, num(values[p - 1])],
      [words.edge, num(high), "theory"],
      [words.smallest, num(values[0])],
      [words.lower_edge, num(low), "theory"],
    ],
  }
}

function singular(knobs, data, words) {
  const { a, b, c, d } = knobs
  const [one, two] = [Math.hypot(a + d, b - c), Math.hypot(a - d, b + c)]
  const [s1, s2] = [(one + two) / 2, Math.abs(one - two) / 2]
  // The right directions are the eigenvectors of WᵀW.
  const angle = Math.atan2(2 * (a * b + c * d), a * a + c * c - b * b - d * d) / 2
  const right = [
    [Math.cos(angle), Math.sin(angle)],
    [-Math.sin(angle), Math.cos(angle)],
  ]
  const image = ([x, y]) => [a * x + b * y, c * x + d * y]
  const circle = grid(0, TAU, 90).map((t) => [Math.cos(t), Math.sin(t)])
  const path = (points, more) => ({ kind: "line", x: points.map((q) => q[0]), y: points.map((q) => q[1]), ...more })
  const arrow = (to, more) => ({ kind: "arrow", x: to[0], y: to[1], ...more })
  const ends = right.map(image)
  const frame = (low, label) => ({ low: -3, high: 3, label })
  return {
    panels: [
      {
        square: true,
        x: frame(0, words.before),
        y: frame(0, ""),
        marks: [
          path(circle, { colour: "muted", width: 1.5 }),
          arrow(right[0], { colour: "learnt", text: "v₁" }),
          arrow(right[1], { colour: "learnt", dash: true, text: "v₂" }),
        ],
      },
      {
        square: true,
        x: frame(0, words.after),
        y: frame(0, ""),
        marks: [
          path(circle.map(image), { colour: "muted", width: 1.5 }),
          arrow(ends[0], { colour: "learnt", text: "s₁" }),
          arrow(ends[1], { colour: "learnt", dash: true, text: "s₂" }),
          { kind: "handle", x: a, y: c, text: words.first, move: (x, y) => ({ a: x, c: y }) },
          { kind: "handle", x: b, y: d, text: words.second, move: (x, y) => ({ b: x, d: y }) },
        ],
      },
    ],
    facts: [
      [words.s1, num(s1), "learnt"],
      [words.s2, num(s2), "learnt"],
      [words.product, num(s1 * s2)],
    ],
  }
}

const drawnEntries = remembered((entries, nu, seed) => {
  const rng = source(seed)
  const rows = Array.from({ length: 100 }, () => Float64Array.from({ length: 200 }, () => ENTRIES[entries](rng, nu)))
  return { values: singularValues(rows), entries: rows.flatMap((row) => Array.from(row)) }
})

function universality(knobs, data, words) {
  const [p, n] = [100, 200]
  const drawn = drawnEntries(knobs.entries, knobs.entries === "t" ? knobs.nu : 0, knobs.seed)
  const high = Math.sqrt(n) + Math.sqrt(p)
  const reach = 40
  const shown = bars(drawn.values, 0, reach, 40, (x) => (x > 1.06 * high ? "bad" : "noise"))
  const curve = law(p, n, 1, p, shown.width)
  const entries = bars(drawn.entries, -4.1, 4.1, 41)
  entries.heights = entries.heights.map((height) => height / drawn.entries.length)
  const beyond = drawn.values.filter((value) => value > reach).length
  return {
    panels: [
      {
        share: 0.36,
        x: { low: -4.1, high: 4.1, label: words.entry },
        y: { low: 0, high: 1.15 * Math.max(...entries.heights), hidden: true },
        marks: [entries],
      },
      {
        x: { low: 0, high: reach, label: words.axis },
        y: { low: 0, high: 11, label: words.count },
        marks: [
          shown,
          curve,
          { kind: "rule", x: high, colour: "theory", dash: true, text: words.upper, side: "right" },
          ...(beyond ? [{ kind: "text", x: reach, y: 5, text: `${beyond} ${words.beyond} →`, colour: "bad", anchor: "end" }] : []),
        ],
      },
    ],
    facts: [
      [words.largest, num(drawn.values[p - 1]), drawn.values[p - 1] > 1.06 * high ? "bad" : undefined],
      [words.edge, num(high), "theory"],
    ],
  }
}

const drawnSpike = remembered((p, n, x, seed) => eigen(tridiagonal(p, n, source(seed), x)))

function spike(knobs, data, words) {
  if (knobs.matrix === "network") return growth(knobs, data, words)
  const [p, n] = [Math.min(knobs.m, knobs.n), Math.max(knobs.m, knobs.n)]
  const c = p / n
  const edge = 1 + Math.sqrt(c)
  const found = drawnSpike(p, n, knobs.x, knobs.seed)
  const values = found.values.map((value) => Math.sqrt(Math.max(value, 0) / n))
  const top = values[p - 1]
  const seen = knobs.x > detection(c)
  const shown = bars(values.slice(0, -1), 0, 3.6, 48)
  const curve = law(p, n, 1, p - 1, 3.6 * Math.sqrt(n) / 48, Math.sqrt(n))
  const colour = seen ? "learnt" : "noise"
  return {
    panels: [
      {
        share: 0.58,
        x: { low: 0, high: 3.6, label: words.axis },
        y: { low: 0, high: tallest(shown, curve), label: words.count },
        marks: [
          shown,
          curve,
          { kind: "rule", x: edge, colour: "theory", dash: true, text: words.upper, side: "left" },
          { kind: "stem", x: top, y: 0.22 * tallest(shown, curve), colour, text: words.top },
        ],
      },
      landingPanel(c, [{ x: knobs.x, y: top, colour }], words, (x) => ({ x })),
    ],
    facts: [
      [words.top, num(top), colour],
      [words.predicted, num(landing(knobs.x, c)), "theory"],
      [words.share, percent(found.first[p - 1]), colour],
      [words.share_theory, percent(share(knobs.x, c)), "theory"],
    ],
  }
}

function landingPanel(c, points, words, move) {
  const x = grid(0, 3, 150)
  return {
    x: { low: 0, high: 3, label: words.strength },
    y: { low: 0, high: 3.6, label: words.landing },
    marks: [
      { kind: "line", x: [0, 3], y: [0, 3], colour: "muted", dash: true, width: 1 },
      { kind: "line", x, y: x.map((each) => landing(each, c)), colour: "theory", width: 2.5 },
      { kind: "rule", x: detection(c), colour: "theory", dash: true, text: words.threshold, side: "right" },
      ...points.map((point) => ({ kind: "handle", ...point, move })),
    ],
  }
}

function growth(knobs, data, words) {
  const { ratio: c, times, values, learnt } = data
  const edge = 1 + Math.sqrt(c)
  let at = times.findIndex((t) => t >= knobs.t)
  at = Math.max(at, 1)
  const weight = (knobs.t - times[at - 1]) / (times[at] - times[at - 1])
  const now = values[at].map((value, i) => weight * value + (1 - weight) * values[at - 1][i])
  const [p, n] = [now.length, now.length / c]
  const reach = 4
  const shown = bars(now, 0, reach, 60, (x) => (x > edge + 0.02 ? "learnt" : "noise"))
  const curve = law(p, n, 1, p, (reach * Math.sqrt(n)) / 60, Math.sqrt(n))
  const above = now.filter((value) => value > edge + 0.02).length
  const beyond = now.filter((value) => value > reach).length
  const lines = learnt.flatMap((strength, i) => [
    { kind: "line", x: times, y: times.map((t) => landing(t * strength, c)), colour: "theory", dash: true, width: 1.5 },
    { kind: "line", x: times, y: values.map((row) => row[i]), colour: "learnt", width: i ? 1.25 : 2.5 },
  ])
  return {
    panels: [
      {
        share: 0.58,
        x: { low: 0, high: reach, label: words.axis },
        y: { low: 0, high: tallest(shown, curve), label: words.count },
        marks: [
          shown,
          curve,
          { kind: "rule", x: edge, colour: "theory", dash: true, text: words.upper, side: "left" },
          ...(beyond ? [{ kind: "text", x: reach, y: 0.5 * tallest(shown, curve), text: `${beyond} ${words.beyond} →`, colour: "learnt", anchor: "end" }] : []),
        ],
      },
      {
        x: { low: 0, high: 1, label: words.time },
        y: { low: 0, high: 1.05 * values[values.length - 1][0], label: words.six },
        marks: [
          ...lines,
          { kind: "rule", x: knobs.t, colour: "ink" },
          { kind: "handle", x: knobs.t, y: now[0], colour: "learnt", move: (t) => ({ t }) },
        ],
      },
    ],
    facts: [
      [words.strongest, num(now[0]), "learnt"],
      [words.independent, num(landing(knobs.t * learnt[0], c)), "theory"],
      [words.above, String(above), "learnt"],
    ],
  }
}

// Each matrix is drawn when it is first wanted: a few are there at once.
const drawnLargest = remembered((p, n, seed) => {
  const rng = source(seed)
  const [a, b] = [Math.sqrt(n - 0.5), Math.sqrt(p - 0.5)]
  const [centre, scale] = [(a + b) ** 2, (a + b) * (1 / a + 1 / b) ** (1 / 3)]
  const draws = []
  return (count) => {
    while (draws.length < count) draws.push((largest(tridiagonal(p, n, rng)) - centre) / scale)
    return draws.slice(0, count)
  }
})

function tracyWidom(knobs, data, words) {
  const [p, n] = [Math.min(knobs.m, knobs.n), Math.max(knobs.m, knobs.n)]
  const draws = drawnLargest(p, n, knobs.seed)(knobs.draws)
  const shown = bars(draws, -5, 4, 36)
  shown.heights = shown.heights.map((height) => height / draws.length / 0.25)
  const last = draws[draws.length - 1]
  return {
    panels: [
      {
        x: { low: -5, high: 4, label: words.axis },
        y: { low: 0, high: 0.45, label: words.density },
        marks: [
          shown,
          { kind: "line", x: data.x, y: data.density, colour: "theory", width: 2.5 },
          { kind: "rule", x: 0, colour: "theory", dash: true, text: words.edge, side: "left" },
          { kind: "rule", x: data.cut, colour: "ink", text: words.cut, side: "right" },
          { kind: "dots", x: [last], y: [0.008], colour: "ink", radius: 5 },
        ],
      },
    ],
    facts: [
      [words.drawn, String(draws.length)],
      [words.mean, num(draws.reduce((sum, x) => sum + x, 0) / draws.length)],
      [words.beyond, percent(draws.filter((x) => x > data.cut).length / draws.length, 1)],
    ],
  }
}

function edge(knobs, data, words) {
  const { eigenvalues, quantiles, reach, n } = data
  const { variance, from, to } = slope(eigenvalues, quantiles, knobs.alpha)
  const cut = reach * variance
  const high = 1.45 * cut
  const spikes = eigenvalues.filter((value) => value > cut).length
  const beyond = eigenvalues.filter((value) => value > high).length
  const end = 1.12 * quantiles[quantiles.length - 1]
  const kind = (test, more) => {
    const kept = quantiles.map((_, i) => i).filter(test)
    return { kind: "dots", x: kept.map((i) => quantiles[i]), y: kept.map((i) => eigenvalues[i]), ...more }
  }
  const inside = (i) => i >= from && i < to
  return {
    panels: [
      {
        x: { low: 0, high: end, label: words.quantile },
        y: { low: 0, high, label: words.eigenvalue },
        marks: [
          kind((i) => inside(i), { colour: "ink", radius: 2.6 }),
          kind((i) => !inside(i) && eigenvalues[i] <= cut, { colour: "noise", radius: 2.6 }),
          kind((i) => !inside(i) && eigenvalues[i] > cut && eigenvalues[i] <= high, { colour: "learnt", radius: 3 }),
          { kind: "line", x: [0, end], y: [0, variance * end], colour: "theory", width: 2.5 },
          { kind: "level", y: cut, colour: "ink", text: words.cut },
          { kind: "rule", x: quantiles[from], colour: "muted", dash: true, text: words.used, side: "right" },
          { kind: "rule", x: quantiles[to - 1], colour: "muted", dash: true },
          ...(beyond ? [{ kind: "text", x: end, y: 0.96 * high, text: `↑ ${beyond} ${words.beyond}`, colour: "learnt", anchor: "end" }] : []),
        ],
      },
    ],
    facts: [
      [words.sigma, num(Math.sqrt(variance), 4), "theory"],
      [words.cut_fact, num(Math.sqrt(n * cut), 4)],
      [words.spikes, String(spikes), "learnt"],
    ],
  }
}

function labels(knobs, data, words) {
  const { factors, test, repeated, ranks } = data
  const at = factors.reduce((best, each, i) => (Math.abs(each - knobs.cut) < Math.abs(factors[best] - knobs.cut) ? i : best), 0)
  const until = (values) => ({ x: factors.slice(0, at + 1), y: values.slice(0, at + 1) })
  const label = (values, text, colour) => ({
    kind: "text", x: factors[at], y: values[at], text, colour, dx: 10, anchor: "start",
  })
  return {
    panels: [
      {
        x: { low: 0, high: 2.5, label: words.axis, ticks: [0, 0.5, 1, 1.5, 2] },
        y: { low: 0, high: 1, label: words.share, percent: true },
        marks: [
          { kind: "rule", x: 1, colour: "theory", dash: true, text: words.edge, side: "right" },
          { kind: "rule", x: factors[at], colour: "ink" },
          { kind: "line", ...until(test), colour: "learnt", width: 2.5 },
          { kind: "line", ...until(repeated), colour: "bad", width: 2.5, dash: true },
          label(test, words.test, "learnt"),
          label(repeated, words.repeated, "bad"),
          { kind: "handle", x: factors[at], y: test[at], colour: "learnt", move: (cut) => ({ cut }) },
        ],
      },
    ],
    facts: [
      [words.test_fact, percent(test[at], 1), "learnt"],
      [words.repeated_fact, percent(repeated[at]), "bad"],
      [words.ranks, ranks[at].join(", ")],
    ],
  }
}

const drawnLimits = remembered((kind, much, quiet, seed) => {
  const rng = source(seed)
  const one = kind === "tails" ? () => ENTRIES.t(rng, much) : rng.normal
  const rows = Array.from({ length: 100 }, () => Float64Array.from({ length: 200 }, one))
  rows.forEach((row, i) =>
    row.forEach((value, j) => {
      const weak = kind === "dead" ? j < Math.round(200 * much) : kind === "below" && i < much
      if (weak) row[j] = quiet * value
    }),
  )
  return singularValues(rows)
})

function limits(knobs, data, words) {
  const [p, n] = [100, 200]
  const much = { tails: knobs.nu, dead: knobs.share, below: knobs.count }[knobs.case]
  const values = drawnLimits(knobs.case, much, data.quiet, knobs.seed)
  const { variance } = slope(values.map((s) => (s * s) / n), data.quantiles, data.alpha)
  const sigma = Math.sqrt(variance)
  const cut = Math.sqrt(n * data.reach * variance)
  const low = sigma * (Math.sqrt(n) - Math.sqrt(p))
  const reach = 32
  const wrong = (x) => x > cut || x < low
  const shown = bars(values.filter((value) => !wrong(value)), 0, reach, 40)
  const odd = bars(values.filter((value) => wrong(value)), 0, reach, 40, () => "bad")
  const curve = law(p, n, sigma, p, shown.width)
  const beyond = values.filter((value) => value > reach).length
  return {
    panels: [
      {
        x: { low: 0, high: reach, label: words.axis },
        y: { low: 0, high: Math.max(14, tallest(shown, odd)), label: words.count },
        marks: [
          shown,
          odd,
          curve,
          { kind: "rule", x: low, colour: "theory", dash: true, text: words.lower, side: "left" },
          { kind: "rule", x: cut, colour: "ink", text: words.cut, side: "right" },
          ...(beyond ? [{ kind: "text", x: reach, y: 5, text: `${beyond} ${words.beyond} →`, colour: "bad", anchor: "end" }] : []),
        ],
      },
    ],
    facts: [
      [words.false, String(values.filter((value) => value > cut).length), "bad"],
      [words.under, String(values.filter((value) => value < low).length), "bad"],
      [words.sigma, num(sigma), "theory"],
    ],
  }
}

function own(knobs, data, words) {
  const { values, p, n, sigma, cut, spikes, revealed } = data
  const total = values.length
  const shownLaw = revealed && cut !== null
  const reach = cut === null ? 1.05 * values[values.length - 1] : Math.min(1.35 * cut, Math.max(1.03 * values[values.length - 1], 1.05 * cut))
  const bins = Math.min(48, Math.max(12, Math.round(2 * Math.sqrt(p))))
  const colour = (x) => (!shownLaw ? "muted" : x > cut ? "learnt" : "noise")
  const shown = bars(values, 0, reach, bins, colour)
  const beyond = values.filter((value) => value > reach).length
  const marks = [shown]
  let top = tallest(shown)
  if (shownLaw) {
    const curve = law(p, n, sigma, total - spikes, shown.width)
    top = tallest(shown, curve)
    marks.push(curve, { kind: "rule", x: cut, colour: "ink", text: words.cut, side: "left" })
  }
  if (beyond) {
    marks.push({ kind: "text", x: reach, y: 0.5 * top, text: `${beyond} ${words.beyond} →`, colour: shownLaw ? "learnt" : "muted", anchor: "end" })
  }
  return {
    panels: [{ x: { low: 0, high: reach, label: words.axis }, y: { low: 0, high: top, label: words.count }, marks }],
    facts: [
      [words.values, String(total)],
      ...(shownLaw ? [[words.bulk, String(total - spikes)], [words.spikes, String(spikes), "learnt"]] : []),
    ],
  }
}

const SCENES = {
  singular,
  noise,
  universality,
  spike,
  "tracy-widom": tracyWidom,
  edge,
  labels,
  limits,
  own,
}
