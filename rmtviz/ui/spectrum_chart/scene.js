// The drawing: everything that does not move is drawn once, what moves is returned.

const SPACE = "http://www.w3.org/2000/svg"

const draw = (parent, name, attributes = {}, text) => {
  const node = document.createElementNS(SPACE, name)
  for (const key in attributes) node.setAttribute(key, attributes[key])
  if (text !== undefined) node.textContent = text
  parent.append(node)
  return node
}

const path = (points) =>
  points.map(([x, y], i) => `${i ? "L" : "M"}${x.toFixed(2)} ${y.toFixed(2)}`).join("")

/** Draw all of it for a width; return the scale, each rank's place, and the parts that move. */
function scene(svg, data, width) {
  svg.replaceChildren()
  const { colours, words, picture, x, values, p } = data
  const narrow = width < 480
  const left = narrow ? 34 : 46
  const right = width - (narrow ? 8 : 14)
  const strip = data.runs ? { top: 20, bottom: 78 } : null
  const row = (strip ? strip.bottom + 8 : 0) + 16
  const bottom = row + 40 + (narrow ? 210 : 250)
  const top = data.drags ? row + 40 : 30
  const height = bottom + 42
  svg.setAttribute("viewBox", `0 0 ${width} ${height}`)
  svg.setAttribute("height", height)
  const text = { "font-size": narrow ? 11 : 12, fill: colours.muted, "font-family": data.font }
  const scale = across(data, left, right, narrow)
  const places = data.drags ? cuts(data, scale) : []

  const up = upwards(data, bottom, top)
  const frame = draw(svg, "g")
  axes(frame, data, scale, up, { left, right, top, bottom, narrow }, text)
  const id = `kept-${Math.random().toString(36).slice(2, 9)}`
  const clip = draw(draw(svg, "clipPath", { id }), "rect", { y: 0, height, x: 0, width: 0 })
  shapes(draw(svg, "g", { class: "hollow" }), data, scale, up, false, bottom)
  const kept = draw(svg, "g", { class: "full", "clip-path": `url(#${id})` })
  shapes(kept, data, scale, up, true, bottom)
  law(svg, data, scale, up, { left, top, bottom })
  marks(svg, data, scale, { top, bottom, left, right }, text)
  const dot = strip && data.drags && curve(svg, data, places, strip, { left, right }, text)
  const ring = draw(svg, "circle", { r: 6, fill: "none", stroke: colours.ink, "stroke-width": 2 })
  ring.setAttribute("visibility", "hidden")
  const cut = data.drags && grip(svg, data, { row, top: strip ? strip.top : row, bottom }, text)
  return { scale, places, up, clip, dot, cut, ring, left, right, top, bottom, row, width, height }
}

function across(data, left, right, narrow) {
  const { x, picture, p, law, points } = data
  if (picture === "scree") return logarithmic(0.9, p * 1.06, left, right)
  if (picture === "quantiles") {
    const ends = [law[0]?.[0] ?? 0, law.at(-1)?.[0] ?? 1]
    const [low, high] = [Math.min(...ends), Math.max(...ends)]
    return x.log ? logarithmic(low || high / 100, high * 1.02, left, right)
      : linear(0, high * 1.03, left, right)
  }
  if (x.log) return logarithmic(x.low, x.limit, left, right)
  return x.far ? split(x, left, right, narrow) : linear(0, x.limit, left, right)
}

function upwards(data, bottom, top) {
  const { picture, x, bars, law, values, points } = data
  if (picture === "cumulative") return { ...linear(0, 1, bottom, top), high: 1 }
  if (picture === "histogram") {
    const tallest = Math.max(...bars.map((bar) => bar[2]), 1)
    // A law that grows without bound at 0 may leave the panel, where bars do not.
    const curve = Math.min(Math.max(...law.map((point) => point[1]), 0), 2 * tallest)
    const high = 1.08 * Math.max(tallest, curve)
    return { ...linear(0, high, bottom, top), high }
  }
  const shown = points.map((point) => point[1])
  const high = 1.05 * Math.max(...shown, 1e-300)
  if (!x.log) return { ...linear(0, high, bottom, top), high }
  const low = Math.min(...shown.filter((v) => v > 1e-9 * high))
  return { ...logarithmic(low * 0.9, high, bottom, top), high, low: low * 0.9 }
}

/** The place of each rank's cut: between two values, and for the fit's own rank at the edge. */
function cuts(data, scale) {
  const { values, p, picture, x, spikes, cut } = data
  return Array.from({ length: p + 1 }, (_, rank) => {
    if (picture === "scree") return scale.to(rank + 0.5)
    if (rank === p) return scale.to(x.log ? x.low : 0)
    if (rank === spikes && cut !== null) return scale.to(cut)
    const [above, below] = [values[Math.max(rank - 1, 0)], values[rank]]
    return (scale.to(above) + scale.to(below)) / 2
  })
}

function axes(parent, data, scale, up, box, text) {
  const { colours, words, picture, x } = data
  const { left, right, top, bottom, narrow } = box
  const line = { stroke: colours.grid, "shape-rendering": "crispEdges" }
  const heights = up.low ? decades(up.low, up.high, 4) : steps(0, up.high, 4)
  for (const tick of heights) {
    const y = up.to(tick)
    draw(parent, "line", { x1: left, x2: scale.end ?? right, y1: y, y2: y, ...line })
    const words = picture === "cumulative" ? percent(tick, 0) : short(tick)
    draw(parent, "text", { x: left - 6, y: y + 4, "text-anchor": "end", ...text }, words)
  }
  const end = scale.end ?? right
  const room = Math.max(2, Math.round((end - left) / 90))
  const ticks =
    picture === "scree" ? decades(1, data.p, room + 1)
    : x.log ? decades(scale.back(left), scale.back(right), room + 1)
    : steps(0, scale.back(end), room)
  const number = (tick, a = {}) => {
    const at = scale.to(tick)
    draw(parent, "line", { x1: at, x2: at, y1: bottom, y2: bottom + 4, ...line })
    draw(parent, "text", { x: at, y: bottom + 17, "text-anchor": "middle", ...text }, short(tick))
  }
  ticks.forEach((tick) => number(tick))
  draw(parent, "line", { x1: left, x2: end, y1: bottom, y2: bottom, ...line })
  const middle = { x: (left + end) / 2, y: bottom + 36, "text-anchor": "middle", ...text }
  draw(parent, "text", middle, words.axis)
  draw(parent, "text", { x: 0, y: top - 12, ...text }, data.drags ? "" : words.height)
  if (!scale.begin) return
  draw(parent, "line", { x1: scale.begin, x2: right, y1: bottom, y2: bottom, ...line })
  decades(x.limit * 1.04, x.top * 1.1, narrow ? 2 : 3).forEach((tick) => number(tick))
  const beyond = { x: (scale.begin + right) / 2, y: bottom + 36, "text-anchor": "middle", ...text }
  draw(parent, "text", beyond, fill(words.far, { count: x.far }))
}

/** Bars, dots or steps, either hollow (removed) or full (kept): the same shapes twice. */
function shapes(group, data, scale, up, full, bottom) {
  const { colours, picture, bars, points, values, spikes, cut, x, p } = data
  const hue = (learnt) => (spikes === null ? colours.muted : learnt ? colours.learnt : colours.noise)
  const solid = full || !data.drags
  for (const [from, to, count] of bars) {
    const [a, b] = [scale.to(from), scale.to(Math.min(to, x.limit))]
    const y = up.to(count)
    const colour = hue(cut !== null && (from + to) / 2 > cut)
    const style = solid ? { fill: colour }
      : { fill: colour, "fill-opacity": 0.3, stroke: colour, "stroke-opacity": 0.7 }
    const inset = solid ? 0.5 : 1
    const rect = { x: a + inset, y: y + (solid ? 0 : 0.5), rx: 1 }
    draw(group, "rect", {
      ...rect, width: Math.max(0.6, b - a - 2 * inset), height: Math.max(0, bottom - y), ...style,
    })
  }
  const dots =
    picture === "histogram" ? beyond(data, scale, up)
    : picture === "cumulative" ? []
    : points.map(([a, b], i) => [scale.to(a), up.to(b), (picture === "scree" ? i : spikes + i)])
  for (const [cx, cy, i] of dots) {
    const colour = hue(spikes !== null && i < spikes)
    const r = dots.length > 120 ? 2.6 : 3.6
    draw(group, "circle", solid ? { cx, cy, r, fill: colour }
      : { cx, cy, r: r - 0.5, fill: colours.paper, stroke: colour })
  }
  if (picture === "cumulative")
    for (const learnt of spikes === null ? [false] : [false, true]) {
      const steps = staircase(data, scale, up, learnt)
      draw(group, "path", {
        d: path(steps), fill: "none", stroke: hue(learnt), "stroke-width": solid ? 3 : 1.2,
        "stroke-linejoin": "round",
      })
    }
}

/** Values beyond the bulk's panel, one dot each: its height is its rank among them. */
function beyond(data, scale, up) {
  const { values, x } = data
  if (!x.far) return []
  return values.slice(0, x.far).map((v, i) => [
    scale.to(v), up.to(0) + (up.to(up.high) - up.to(0)) * (0.05 + 0.87 * ((i + 0.5) / x.far)), i,
  ])
}

function staircase(data, scale, up, learnt) {
  const { values, p, spikes, x } = data
  const from = learnt ? p - spikes : 0
  const to = learnt || spikes === null ? p : p - spikes
  const points = [[scale.to(learnt ? data.cut : x.log ? x.low : 0), up.to(from / p)]]
  for (let i = from; i < to; i++) {
    const at = scale.to(values[p - 1 - i])
    points.push([at, up.to(i / p)], [at, up.to((i + 1) / p)])
  }
  if (!learnt && spikes !== null) points.push([scale.to(data.cut), up.to(to / p)])
  return points
}

function law(svg, data, scale, up, box) {
  const { colours, picture, x } = data
  const points = data.law.filter(([a]) => picture === "scree" || a <= x.limit)
  if (!points.length) return
  const line = points.map(([a, b]) => [scale.to(a), Math.max(up.to(b), box.top - 6)])
  if (picture === "histogram") {
    line.unshift([line[0][0], box.bottom])
    line.push([line.at(-1)[0], box.bottom])
  }
  const style = { fill: "none", stroke: colours.theory, "stroke-width": 2.5 }
  draw(svg, "path", { d: path(line), "stroke-linejoin": "round", ...style })
}

function marks(svg, data, scale, box, text) {
  const { colours, words, picture, edges, cut, x } = data
  if (cut === null || !["histogram", "cumulative"].includes(picture)) return
  const halo = { "paint-order": "stroke", stroke: colours.paper, "stroke-width": 4 }
  const label = { ...text, ...halo, fill: colours.theory }
  const lines = [[cut, words.edge, "6 3"]]
  if (edges[0] > (x.log ? x.low : 0)) lines.push([edges[0], words.lower, "2 3"])
  for (const [value, name, dash] of lines) {
    const at = scale.to(value)
    draw(svg, "line", {
      x1: at, x2: at, y1: box.top - 4, y2: box.bottom, stroke: colours.theory,
      "stroke-dasharray": dash, "stroke-width": 1.5,
    })
    const late = at > box.left + 0.75 * (box.right - box.left)
    const side = { x: at + (late ? -5 : 5), "text-anchor": late ? "end" : "start" }
    draw(svg, "text", { y: box.top - 9, ...label, ...side }, fill(name, { value: short(value) }))
  }
}

/** The accuracy if cut here, over the same axis; return the dot that follows the cut. */
function curve(svg, data, places, strip, box, text) {
  const { colours, words, estimates, p } = data
  const name = { x: box.left, y: strip.top - 8, ...text }
  draw(svg, "text", name, data.curve ? words.strip : words.measuring)
  const line = { stroke: colours.grid, "shape-rendering": "crispEdges" }
  draw(svg, "line", { x1: box.left, x2: box.right, y1: strip.bottom, y2: strip.bottom, ...line })
  if (!data.curve) return null
  const best = Math.max(data.whole, ...estimates.slice(1))
  const floor = Math.max(0, Math.min(best - 0.02, estimates[1], best - 0.02))
  const up = linear(floor, best + 0.02 * (best - floor), strip.bottom, strip.top)
  const y = up.to(data.whole)
  draw(svg, "line", { x1: box.left, x2: box.right, y1: y, y2: y, ...line, "stroke-dasharray": "3 3" })
  for (const [share, at] of [[data.whole, y], [floor, strip.bottom]]) {
    const words = percent(share, 0)
    draw(svg, "text", { x: box.left - 6, y: at + 4, "text-anchor": "end", ...text }, words)
  }
  const points = []
  for (let rank = p; rank >= 1; rank--) points.push([places[rank], up.to(estimates[rank])])
  const style = { fill: "none", stroke: colours.ink, "stroke-width": 2, "stroke-linejoin": "round" }
  draw(svg, "path", { d: path(points), ...style })
  const dot = draw(svg, "circle", {
    r: 5.5, fill: colours.paper, stroke: colours.ink, "stroke-width": 2.5,
  })
  return { node: dot, to: (rank) => up.to(estimates[rank]) }
}

/** The cut: a line with a round grip, and on either side what it does. */
function grip(svg, data, box, text) {
  const { colours, words } = data
  const group = draw(svg, "g", {
    class: "grip", tabindex: 0, role: "slider", "aria-label": words.cut,
    "aria-valuemin": 0, "aria-valuemax": data.p - 1, "aria-orientation": "horizontal",
  })
  const line = { x1: 0, x2: 0, stroke: colours.accent, "stroke-width": 2 }
  draw(group, "line", { y1: box.top, y2: box.bottom, ...line })
  draw(group, "rect", { x: -22, y: box.row - 22, width: 44, height: 44, fill: "transparent" })
  const ring = { class: "ring", r: 17, cy: box.row, fill: "none", opacity: 0 }
  draw(group, "circle", { ...ring, stroke: colours.accent, "stroke-width": 2.5 })
  draw(group, "circle", { r: 13, cy: box.row, fill: colours.accent })
  const arrows = `M-4.5 ${box.row - 4}l-4 4l4 4M4.5 ${box.row - 4}l4 4l-4 4`
  draw(group, "path", { d: arrows, fill: "none", stroke: colours.on_accent, "stroke-width": 1.8 })
  const label = { ...text, y: box.row + 4, "font-size": 13, fill: colours.ink }
  const halo = { "paint-order": "stroke", stroke: colours.paper, "stroke-width": 4 }
  const before = draw(group, "text", { ...label, ...halo, x: -23, "text-anchor": "end" }, "")
  const after = draw(group, "text", { ...label, ...halo, x: 23 }, "")
  const known = {}
  /** How far words reach from the cut: measured once for each number of digits. */
  const reach = (sentence) => {
    const alike = sentence.replace(/\d/g, "0")
    if (!(alike in known)) {
      after.textContent = alike
      known[alike] = 23 + after.getComputedTextLength()
    }
    return known[alike]
  }
  return { group, before, after, reach }
}
