// Draws panels of points, lines and rules, with a legend below; says which one was clicked.

const [LEFT, RIGHT, TOP, BOTTOM, GAP, NEAR] = [48, 14, 28, 42, 14, 22]

const SCALES = {
  linear: (value) => value,
  log: (value) => Math.log10(Math.max(value, 1e-12)),
  asinh: (value, unit) => Math.asinh(value / unit),
}

// Each shape around (0, 0) within a radius; those of strokes alone are never filled.
const SHAPES = {
  circle: (r) => `M${-r},0a${r},${r} 0 1,0 ${2 * r},0a${r},${r} 0 1,0 ${-2 * r},0Z`,
  square: (r) => `M${-r},${-r}H${r}V${r}H${-r}Z`,
  diamond: (r) => `M0,${-1.3 * r}L${1.3 * r},0L0,${1.3 * r}L${-1.3 * r},0Z`,
  up: (r) => `M0,${-1.2 * r}L${1.2 * r},${r}H${-1.2 * r}Z`,
  down: (r) => `M0,${1.2 * r}L${1.2 * r},${-r}H${-1.2 * r}Z`,
  cross: (r) => `M${-r},${-r}L${r},${r}M${-r},${r}L${r},${-r}`,
  plus: (r) => `M${-1.2 * r},0H${1.2 * r}M0,${-1.2 * r}V${1.2 * r}`,
  star: (r) =>
    `M${Array.from({ length: 10 }, (_, i) => {
      const [size, angle] = [i % 2 ? 0.62 * r : 1.55 * r, (Math.PI * i) / 5 - Math.PI / 2]
      return `${(size * Math.cos(angle)).toFixed(2)},${(size * Math.sin(angle)).toFixed(2)}`
    }).join("L")}Z`,
}
const OPEN = ["cross", "plus"]

/** From values to pixels; what lies beyond an axis stands at its end. */
function placing({ scale, low, high, unit }, from, to) {
  const [start, end] = [SCALES[scale](low, unit), SCALES[scale](high, unit)]
  return (value) => {
    const share = (SCALES[scale](value, unit) - start) / (end - start)
    return from + Math.min(Math.max(share, 0), 1) * (to - from)
  }
}

function made(parent, kind, attributes, text) {
  const each = document.createElementNS(DRAWN, kind)
  for (const key in attributes) each.setAttribute(key, attributes[key])
  if (text !== undefined) each.textContent = text
  parent.append(each)
  return each
}

function marked(parent, { shape, colour, hollow, size }, x, y, colours) {
  const bare = hollow || OPEN.includes(shape)
  return made(parent, "path", {
    d: SHAPES[shape](size),
    transform: `translate(${x.toFixed(1)},${y.toFixed(1)})`,
    fill: bare ? "none" : colours[colour],
    stroke: colours[bare ? colour : "paper"],
    "stroke-width": bare ? 1.6 : 0.8,
  })
}

function panel(svg, { x, y, points, lines, rules, title, id }, [left, top, width, height], colours) {
  const [x0, x1, y0, y1] = [left + LEFT, left + width - RIGHT, top + height - BOTTOM, top + TOP]
  const [px, py] = [placing(x, x0, x1), placing(y, y0, y1)]
  const small = { fill: colours.muted, "font-size": 12 }
  const hits = [{ box: [left, top, left + width, top + height], id }]
  made(svg, "text", { x: left + 4, y: top + 15, fill: colours.ink, "font-weight": 600 }, title)
  for (const [value, words] of y.ticks) {
    made(svg, "line", { x1: x0, x2: x1, y1: py(value), y2: py(value), stroke: colours.grid })
    made(svg, "text", { ...small, x: x0 - 6, y: py(value) + 4, "text-anchor": "end" }, words)
  }
  for (const [value, words] of x.ticks) {
    made(svg, "line", { x1: px(value), x2: px(value), y1: y0, y2: y0 + 4, stroke: colours.muted })
    made(svg, "text", { ...small, x: px(value), y: y0 + 17, "text-anchor": "middle" }, words)
  }
  made(svg, "line", { x1: x0, x2: x1, y1: y0, y2: y0, stroke: colours.muted })
  made(svg, "text", { ...small, x: (x0 + x1) / 2, y: y0 + 35, "text-anchor": "middle" }, x.label)
  const words = []
  rules.forEach((rule, i) => {
    const flat = rule.x === null
    const at = flat ? py(rule.y) : px(rule.x)
    const ends = flat ? { x1: x0, x2: x1, y1: at, y2: at } : { x1: at, x2: at, y1: y0, y2: y1 }
    made(svg, "line", { ...ends, stroke: colours[rule.colour], "stroke-width": 1.4, "stroke-dasharray": rule.dash })
    const left = !flat && at > (x0 + x1) / 2
    words.push([flat ? x1 - 4 : at + (left ? -5 : 5), flat ? at - 5 : y0 - 8 - 15 * i, rule.text, colours[rule.colour], flat || left])
  })
  for (const line of lines) {
    const path = line.x.map((value, i) => [px(value), py(line.y[i])])
    const back = line.high ? line.x.map((value, i) => [px(value), py(line.high[i])]).reverse() : []
    made(svg, line.high ? "polygon" : "polyline", {
      points: [...path, ...back].map((pair) => pair.map((value) => value.toFixed(1)).join()).join(" "),
      fill: line.high ? colours[line.colour] : "none",
      "fill-opacity": 0.12,
      stroke: line.high ? "none" : colours[line.colour],
      "stroke-width": line.width,
      "stroke-dasharray": line.dash,
      "stroke-linejoin": "round",
    })
  }
  for (const point of points) {
    const at = [px(point.x), py(point.y)]
    const shape = marked(svg, point, ...at, colours)
    shape.dataset.series = point.series
    if (point.says.length || point.id) hits.push({ at, says: point.says, id: point.id })
    const left = at[0] > x0 + 0.75 * (x1 - x0)
    const aside = (point.size + 5) * (left ? -1 : 1)
    if (point.label) words.push([at[0] + aside, at[1] - 7, point.label, colours[point.colour], left])
  }
  const over = { "paint-order": "stroke", stroke: colours.paper, "stroke-width": 4, "stroke-linejoin": "round" }
  const taken = []
  for (const [x, wished, text, fill, left] of words) {
    const long = 6.8 * text.length
    const [from, to] = left ? [x - long, x] : [x, x + long]
    const free = (y) => taken.every(([a, b, c]) => b < from || to < a || Math.abs(c - y) > 13)
    const y = [0, 26, -14, 40, -28].map((step) => wished + step).find(free) ?? wished
    taken.push([from, to, y])
    made(svg, "text", { ...over, x, y, fill, "font-weight": 600, "text-anchor": left ? "end" : "start" }, text)
  }
  return hits
}

/** The legend as rows of shape and word; returns where it ends. */
function legend(svg, entries, width, top, colours) {
  let [x, y] = [LEFT, top + 14]
  for (const entry of entries) {
    const group = made(svg, "g", { class: "entry" })
    const words = made(group, "text", { fill: colours.muted, y: 4, x: 12 }, entry.series)
    marked(group, entry, 0, 0, colours)
    const long = words.getComputedTextLength() + 32
    if (x + long > width && x > LEFT) [x, y] = [LEFT, y + 20]
    group.setAttribute("transform", `translate(${x},${y})`)
    group.onpointerenter = () => faded(svg, entry.series)
    group.onpointerleave = () => faded(svg, null)
    x += long
  }
  return entries.length ? y + 12 : top
}

function faded(svg, series) {
  for (const each of svg.querySelectorAll("[data-series]")) {
    each.setAttribute("opacity", series === null || each.dataset.series === series ? 1 : 0.12)
  }
}

function table({ panels }) {
  const quoted = (value) => (/[",\n]/.test(value) ? `"${String(value).replaceAll('"', '""')}"` : value)
  const rows = panels.flatMap(({ title, points, lines }) => [
    ...points.map(({ series, x, y, says }) => [title, series, x, y, says.join("; ")]),
    ...lines.flatMap((line) => line.x.map((x, i) => [title, line.series, x, line.y[i], ""])),
  ])
  return [["panel", "series", "x", "y", "words"], ...rows].map((row) => row.map(quoted).join()).join("\n") + "\n"
}

export default function ({ data, parentElement, setTriggerValue }) {
  const root = parentElement.querySelector(".panels")
  const [svg, tip] = [root.querySelector("svg"), root.querySelector(".tip")]
  const { panels, colours, words, wide, high } = data
  let hits = []
  let drawn = 0
  const draw = () => {
    const width = root.clientWidth
    if (!width) return
    drawn = width
    const columns = Math.max(1, Math.min(panels.length, Math.floor((width + GAP) / (wide + GAP))))
    const each = (width - GAP * (columns - 1)) / columns
    svg.replaceChildren()
    hits = panels.flatMap((one, i) => {
      const at = [(i % columns) * (each + GAP), Math.floor(i / columns) * (high + GAP)]
      return panel(svg, one, [...at, each, high], colours)
    })
    const rows = Math.ceil(panels.length / columns)
    const end = legend(svg, data.legend, width, rows * (high + GAP), colours)
    svg.setAttribute("height", end)
    svg.setAttribute("viewBox", `0 0 ${width} ${end}`)
  }
  const met = (event) => {
    const box = svg.getBoundingClientRect()
    const place = [event.clientX - box.left, event.clientY - box.top]
    const far = ({ at }) => Math.hypot(at[0] - place[0], at[1] - place[1])
    const points = hits.filter(({ at }) => at).sort((a, b) => far(a) - far(b))
    if (points.length && far(points[0]) < NEAR) return points[0]
    const [x, y] = place
    return hits.find(({ box }) => box && box[0] <= x && x < box[2] && box[1] <= y && y < box[3])
  }
  svg.setAttribute("aria-label", words.alt)
  svg.onpointermove = (event) => {
    const hit = met(event)
    svg.style.cursor = hit?.id ? "pointer" : ""
    tip.hidden = !hit?.says?.length
    if (tip.hidden) return
    tip.replaceChildren(...hit.says.map((line) => Object.assign(document.createElement("p"), { textContent: line })))
    tip.style.left = `${Math.min(hit.at[0] + 12, root.clientWidth - tip.offsetWidth)}px`
    tip.style.top = `${hit.at[1] + 14}px`
  }
  svg.onpointerleave = () => (tip.hidden = true)
  svg.onclick = (event) => {
    const hit = met(event)
    if (hit?.id) setTriggerValue("picked", hit.id)
  }
  saving(parentElement, {
    svgs: () => [svg],
    table: () => table(data),
    code: words.code,
    file: words.file,
    title: words.title,
    words,
  })
  draw()
  const size = new ResizeObserver(() => root.clientWidth !== drawn && draw())
  size.observe(root)
  return () => size.disconnect()
}
