// The doors: each scene draws itself for a place of the pointer from 0 to 1 and returns the
// numbers of the line below. The pictures hold real numbers, the noise is drawn on the spot.

const SVG = "http://www.w3.org/2000/svg"
const [WIDTH, HEIGHT, FLOOR, CEILING] = [320, 168, 150, 16]
const COLOURS = {
  learnt: "var(--st-blue-color)",
  noise: "var(--st-gray-color)",
  theory: "var(--st-orange-color)",
  ink: "var(--st-text-color)",
  grid: "var(--st-border-color)",
}
const known = new WeakMap()

const shape = (svg, kind, attributes, text) => {
  const made = document.createElementNS(SVG, kind)
  for (const key in attributes) made.setAttribute(key, attributes[key])
  if (text !== undefined) made.textContent = text
  svg.append(made)
}
const line = (svg, points, more) =>
  shape(svg, "polyline", {
    points: points.map(([x, y]) => `${x.toFixed(1)},${y.toFixed(1)}`).join(" "),
    fill: "none", "stroke-width": 2, ...more,
  })
const percent = (share, digits = 0) => `${(100 * share).toFixed(digits)} %`
const upTo = (tallest) => (count) => FLOOR - ((FLOOR - CEILING) * count) / tallest

// A layer's values under the law; what lies right of the cut is kept. Beyond the panel's end
// the values stand in its last bin.
function spectrum(svg, { bars, law, limit, values, cut }, at) {
  const place = at === null ? cut / limit : at
  const x = (value) => (WIDTH * value) / limit
  const y = upTo(1.1 * Math.max(...bars.map((bar) => bar[2]), ...law.map((point) => point[1])))
  for (const [from, to, count] of bars) {
    const kept = (from + to) / 2 >= place * limit
    const box = { x: x(from), y: y(count), width: Math.max(x(to) - x(from) - 1, 1), height: FLOOR - y(count) }
    shape(svg, "rect", { ...box, fill: kept ? COLOURS.learnt : COLOURS.noise, "fill-opacity": kept ? 0.9 : 0.6 })
  }
  line(svg, law.map(([value, count]) => [x(value), y(count)]), { stroke: COLOURS.theory })
  shape(svg, "line", { x1: WIDTH * place, x2: WIDTH * place, y1: CEILING - 8, y2: FLOOR, stroke: COLOURS.ink, "stroke-width": 2 })
  return { kept: values.filter((value) => value >= place * limit).length, of: values.length }
}

// Accuracy against what is stored, a dot on the curve.
function saved(svg, { points, usual }, at) {
  const [low, high] = [Math.min(...points.map((p) => p[1])), Math.max(...points.map((p) => p[1]))]
  const x = (stored) => 8 + (WIDTH - 16) * stored
  const y = (accuracy) => FLOOR - 14 - ((FLOOR - CEILING - 26) * (accuracy - low)) / (high - low)
  const nearest = (stored) => points.reduce((a, b) => (Math.abs(b[0] - stored) < Math.abs(a[0] - stored) ? b : a))
  const [stored, accuracy] = at === null ? points[usual] : nearest(at)
  shape(svg, "rect", { x: x(0), y: CEILING - 8, width: x(stored) - x(0), height: FLOOR - CEILING + 8, fill: COLOURS.learnt, "fill-opacity": 0.14 })
  line(svg, points.map(([s, a]) => [x(s), y(a)]), { stroke: COLOURS.learnt, "stroke-width": 2.5, "stroke-linejoin": "round" })
  shape(svg, "line", { x1: x(stored), x2: x(stored), y1: y(accuracy), y2: FLOOR, stroke: COLOURS.ink, "stroke-dasharray": "3 3" })
  const ends = { fill: COLOURS.ink, "font-weight": 400 }
  shape(svg, "text", { ...ends, x: x(points.at(-1)[0]), y: y(points.at(-1)[1]) - 9, "text-anchor": "end" }, percent(points.at(-1)[1], 1))
  shape(svg, "text", { ...ends, x: x(points[0][0]) + 6, y: y(points[0][1]) + 4 }, percent(points[0][1], 1))
  shape(svg, "circle", { cx: x(stored), cy: y(accuracy), r: 5.5, fill: COLOURS.learnt, stroke: "var(--st-background-color)", "stroke-width": 2 })
  return { stored: percent(stored), accuracy: percent(accuracy, 1) }
}

// Fresh noise at each place of the pointer, and the law that it follows.
function noise(svg, { rows, columns }, at) {
  const seed = at === null ? 7 : 1 + Math.floor(60 * at)
  const found = eigen(tridiagonal(rows, columns, source(seed))).values.map((value) => Math.sqrt(Math.max(value, 0)))
  const [low, high] = [-1, 1].map((sign) => Math.sqrt(columns) + sign * Math.sqrt(rows))
  const [start, reach, bins] = [low - 0.16 * (high - low), 1.32 * (high - low), 44]
  const width = reach / bins
  const counts = counted(found, start, width, bins)
  const grid = Array.from({ length: 121 }, (_, i) => low + ((high - low) * (1 - Math.cos((Math.PI * i) / 120))) / 2)
  const curve = grid.map((s) => [s, rows * width * density(s, rows, columns, 1)])
  const y = upTo(1.35 * Math.max(...curve.map((point) => point[1])))
  const x = (s) => (WIDTH * (s - start)) / reach
  counts.forEach((count, i) => {
    if (count) shape(svg, "rect", { x: x(start + i * width), y: y(count), width: WIDTH / bins - 1, height: FLOOR - y(count), fill: COLOURS.noise, "fill-opacity": 0.6 })
  })
  line(svg, curve.map(([s, count]) => [x(s), y(count)]), { stroke: COLOURS.theory, "stroke-width": 2.5 })
  return { largest: found.at(-1).toFixed(2), edge: high.toFixed(2) }
}

const SCENES = { spectrum, saved, noise }

export default function ({ data, parentElement, setTriggerValue }) {
  const svg = parentElement.querySelector("svg")
  const reading = parentElement.querySelector("p")
  svg.setAttribute("viewBox", `0 0 ${WIDTH} ${HEIGHT}`)
  svg.setAttribute("aria-label", data.alt)
  const draw = (at) => {
    svg.replaceChildren()
    shape(svg, "line", { x1: 0, x2: WIDTH, y1: FLOOR, y2: FLOOR, stroke: COLOURS.grid })
    const numbers = SCENES[data.name](svg, data.picture, at)
    reading.textContent = data.words.reading.replace(/\{(\w+)\}/g, (_, name) => numbers[name])
    if (data.words.axis) shape(svg, "text", { x: WIDTH - 2, y: HEIGHT - 5, "text-anchor": "end", fill: "var(--st-gray-text-color)" }, data.words.axis)
  }
  const hold = (place) => Math.min(Math.max(place, 0), 1)
  svg.onpointermove = (event) => {
    known.set(svg, true)
    const box = svg.getBoundingClientRect()
    draw(hold((event.clientX - box.left) / box.width))
  }
  svg.onpointerleave = () => draw(null)
  svg.onclick = () => setTriggerValue("open", true)
  draw(null)
  const still = matchMedia("(prefers-reduced-motion: reduce)").matches
  if (still || known.has(svg)) return
  known.set(svg, false)
  const begin = performance.now()
  let frame = requestAnimationFrame(function sweep(now) {
    const time = (now - begin) / 1800
    if (known.get(svg) || time >= 1) return known.get(svg) || draw(null)
    draw(hold(0.5 + 0.38 * Math.cos(Math.PI * 2 * time)))
    frame = requestAnimationFrame(sweep)
  })
  return () => cancelAnimationFrame(frame)
}
