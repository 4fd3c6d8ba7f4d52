// The stage: draws a scene as SVG, and lets its knobs and handles be moved.
// While something moves, everything happens here; Python is told when it is let go.

const SVG = "http://www.w3.org/2000/svg"
const stages = new WeakMap()
const MARGIN = { left: 46, right: 14, top: 38, bottom: 44 }
const COLOURS = {
  learnt: "var(--st-blue-color)",
  noise: "var(--st-gray-color)",
  theory: "var(--st-orange-color)",
  bad: "var(--st-red-color)",
  ink: "var(--st-text-color)",
  muted: "var(--st-gray-text-color)",
}
// The colour of words: the grey of shapes is too pale for them.
const written = (colour = "ink") => COLOURS[colour === "noise" ? "muted" : colour]

function element(kind, attributes, parent, text) {
  const made = document.createElementNS(SVG, kind)
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value)
  if (text !== undefined) made.textContent = text
  parent.append(made)
  return made
}

function node(kind, className, parent, text) {
  const made = document.createElement(kind)
  if (className) made.className = className
  if (text !== undefined) made.textContent = text
  parent.append(made)
  return made
}

function ticks(low, high, room) {
  const rough = (high - low) / Math.max(2, Math.floor(room / 64))
  const unit = 10 ** Math.floor(Math.log10(rough))
  const step = [1, 2, 5, 10].map((m) => m * unit).find((each) => each >= rough * 0.999)
  const first = Math.ceil(low / step - 1e-9)
  return Array.from({ length: Math.floor(high / step + 1e-9) - first + 1 }, (_, i) => {
    const digits = Math.max(0, -Math.floor(Math.log10(step) + 1e-9))
    return Number(((first + i) * step).toFixed(digits))
  })
}

// Draw one panel into a box of the picture; return where its handles are, and its scales.
function drawPanel(svg, panel, box) {
  const left = box.x + (panel.y.hidden ? 10 : MARGIN.left)
  let right = box.x + box.width - MARGIN.right
  let top = box.y + MARGIN.top
  let bottom = box.y + box.height - MARGIN.bottom
  if (panel.square) {
    const side = Math.min(right - left, bottom - top)
    bottom = top + side
    right = left + side
  }
  const x = (value) => left + ((value - panel.x.low) / (panel.x.high - panel.x.low)) * (right - left)
  const y = (value) => bottom - ((value - panel.y.low) / (panel.y.high - panel.y.low)) * (bottom - top)
  const back = {
    x: (at) => panel.x.low + ((at - left) / (right - left)) * (panel.x.high - panel.x.low),
    y: (at) => panel.y.low + ((bottom - at) / (bottom - top)) * (panel.y.high - panel.y.low),
  }
  const axes = element("g", { class: "axes" }, svg)
  for (const tick of panel.x.ticks ?? ticks(panel.x.low, panel.x.high, right - left)) {
    element("line", { x1: x(tick), x2: x(tick), y1: bottom, y2: bottom + 4 }, axes)
    element("text", { x: x(tick), y: bottom + 17, "text-anchor": "middle" }, axes, String(tick).replace("-", "−"))
  }
  if (!panel.y.hidden) {
    for (const tick of ticks(panel.y.low, panel.y.high, 1.4 * (bottom - top))) {
      element("line", { x1: left, x2: right, y1: y(tick), y2: y(tick), class: "grid" }, axes)
      const text = panel.y.percent ? Math.round(100 * tick) + " %" : String(tick).replace("-", "−")
      element("text", { x: left - 7, y: y(tick) + 4, "text-anchor": "end" }, axes, text)
    }
    if (panel.y.label) element("text", { x: box.x + 2, y: box.y + 12, class: "name" }, axes, panel.y.label)
  }
  element("line", { x1: left, x2: right, y1: bottom, y2: bottom }, axes)
  element("text", { x: (left + right) / 2, y: bottom + 36, class: "name", "text-anchor": "middle" }, axes, panel.x.label)
  const marks = element("g", {}, svg)
  const handles = []
  const labels = []
  const floor = Math.min(Math.max(y(0), top), bottom)
  const visible = (value) => Math.min(Math.max(value, top - 4), bottom)
  for (const mark of panel.marks) {
    const colour = COLOURS[mark.colour ?? "ink"]
    const dash = mark.dash ? { "stroke-dasharray": "5 4" } : {}
    if (mark.kind === "bars") {
      mark.heights.forEach((height, i) => {
        if (!height) return
        const from = x(mark.low + i * mark.width)
        const wide = Math.max(x(mark.low + (i + 1) * mark.width) - from - 1, 0.8)
        const up = visible(y(height))
        const shade = mark.colours[i]
        element("rect", { x: from, y: up, width: wide, height: floor - up, fill: COLOURS[shade], "fill-opacity": shade === "noise" ? 0.62 : 0.9 }, marks)
      })
    } else if (mark.kind === "line") {
      const points = mark.x.map((value, i) => `${x(value).toFixed(1)},${visible(y(mark.y[i])).toFixed(1)}`)
      element("polyline", { points: points.join(" "), fill: "none", stroke: colour, "stroke-width": mark.width, "stroke-linejoin": "round", ...dash }, marks)
    } else if (mark.kind === "dots") {
      mark.x.forEach((value, i) => element("circle", { cx: x(value), cy: y(mark.y[i]), r: mark.radius ?? 3, fill: colour }, marks))
    } else if (mark.kind === "rule") {
      element("line", { x1: x(mark.x), x2: x(mark.x), y1: top, y2: bottom, stroke: colour, "stroke-width": 1.5, ...dash }, marks)
      if (mark.text) labels.push({ ...mark, at: x(mark.x), up: top - 6, anchor: mark.side === "left" ? "end" : "start" })
    } else if (mark.kind === "level") {
      element("line", { x1: left, x2: right, y1: y(mark.y), y2: y(mark.y), stroke: colour, "stroke-width": 1.5, ...dash }, marks)
      labels.push({ ...mark, at: left + 6, up: y(mark.y) - 6, anchor: "start" })
    } else if (mark.kind === "text") {
      labels.push({ ...mark, at: x(mark.x) + (mark.dx ?? 0), up: y(mark.y) + 4 })
    } else if (mark.kind === "stem") {
      const up = y(mark.y)
      element("line", { x1: x(mark.x), x2: x(mark.x), y1: bottom, y2: up, stroke: colour, "stroke-width": 3 }, marks)
      element("circle", { cx: x(mark.x), cy: up, r: 6, fill: colour }, marks)
      labels.push({ ...mark, at: x(mark.x), up: up - 11, anchor: "middle" })
    } else if (mark.kind === "arrow") {
      element("line", { x1: x(0), y1: y(0), x2: x(mark.x), y2: y(mark.y), stroke: colour, "stroke-width": 3, "stroke-linecap": "round", ...dash }, marks)
      const away = 14 / Math.max(Math.hypot(x(mark.x) - x(0), y(mark.y) - y(0)), 14)
      labels.push({ ...mark, at: x(mark.x) + (x(mark.x) - x(0)) * away, up: y(mark.y) + (y(mark.y) - y(0)) * away + 4, anchor: "middle" })
    } else if (mark.kind === "handle") {
      const [cx, cy] = [x(mark.x), visible(y(mark.y))]
      element("circle", { cx, cy, r: 7.5, fill: colour, class: "handle" }, marks)
      if (mark.text) labels.push({ ...mark, at: cx + 13, up: cy + 4, anchor: "start" })
      handles.push({ cx, cy, back, move: mark.move })
    }
  }
  for (const label of labels) {
    const made = element("text", { x: label.at, y: label.up, "text-anchor": label.anchor ?? "middle", fill: written(label.colour), class: "label" }, svg, label.text)
    fitted(made, label, box)
  }
  return handles
}

// Keep a label inside its panel: turn it to the other side of its line, or push it in.
function fitted(text, label, box) {
  const wide = text.getComputedTextLength?.() ?? 0
  const start = { start: label.at, end: label.at - wide, middle: label.at - wide / 2 }[label.anchor ?? "middle"]
  const push = Math.max(box.x - start, 0) + Math.min(box.x + box.width - (start + wide), 0)
  if (push) text.setAttribute("x", label.at + push)
}

// Draw all panels, side by side where there is room.
function draw(stage) {
  const started = performance.now()
  const { svg, data } = stage
  const scene = SCENES[data.scene](stage.knobs, data.picture, data.words)
  const width = Math.max(stage.root.clientWidth, 260)
  const narrow = width < 560
  const square = scene.panels.every((panel) => panel.square)
  const height = square ? (narrow ? width : Math.min(width / 2 + 40, 360)) : narrow ? 270 : 350
  const stacked = narrow && scene.panels.length > 1
  svg.replaceChildren()
  svg.setAttribute("width", width)
  svg.setAttribute("height", stacked ? height * scene.panels.length : height)
  stage.handles = []
  let x = 0
  scene.panels.forEach((panel, i) => {
    const rest = 1 - scene.panels.slice(0, i).reduce((sum, each) => sum + (each.share ?? 0), 0)
    const part = panel.share ?? (i === scene.panels.length - 1 ? rest : 1 / scene.panels.length)
    const box = stacked
      ? { x: 0, y: i * height, width, height }
      : { x, y: 0, width: width * part, height }
    x += width * part
    stage.handles.push(...drawPanel(svg, panel, box))
  })
  facts(stage, scene.facts)
  stage.root.dataset.redraw = (performance.now() - started).toFixed(2)
}

// The numbers of the picture as it stands: a row a bar, or a point.
function table(stage) {
  const rows = ["panel,kind,meaning,x,y"]
  SCENES[stage.data.scene](stage.knobs, stage.data.picture, stage.data.words).panels.forEach((panel, i) => {
    for (const { kind, colour, colours, low, width, heights, x, y } of panel.marks) {
      const row = (at, height, name) => rows.push([i + 1, kind, name ?? "", at, height].join(","))
      if (kind === "bars") heights.forEach((height, j) => row(low + (j + 0.5) * width, height, colours[j]))
      if (kind === "line" || kind === "dots") x.forEach((at, j) => row(at, y[j], colour))
    }
  })
  return `${rows.join("\n")}\n`
}

function facts(stage, rows) {
  while (stage.facts.children.length < rows.length) {
    const pair = node("div", "", stage.facts)
    node("dt", "", pair)
    node("dd", "", pair)
  }
  while (stage.facts.children.length > rows.length) stage.facts.lastChild.remove()
  rows.forEach(([label, value, colour], i) => {
    const [name, number] = stage.facts.children[i].children
    name.textContent = label
    number.textContent = value
    number.style.color = written(colour)
  })
}

function soon(stage) {
  stage.frame ??= requestAnimationFrame(() => {
    stage.frame = null
    draw(stage)
    follow(stage)
  })
}

// Bring the controls to the values of the knobs.
function follow(stage) {
  for (const [name, control] of Object.entries(stage.controls)) control(stage.knobs[name])
}

function move(stage, values) {
  for (const [name, value] of Object.entries(values)) {
    const knob = stage.data.knobs.find((each) => each.name === name)
    if (!knob) continue
    if (knob.kind !== "number") {
      stage.knobs[name] = value
      continue
    }
    const steps = Math.round((value - knob.low) / knob.step)
    const moved = Math.min(Math.max(knob.low + steps * knob.step, knob.low), knob.high)
    stage.knobs[name] = Number(moved.toFixed(6))
  }
  stage.busy = true
  soon(stage)
}

function tell(stage, wait = 0) {
  clearTimeout(stage.timer)
  stage.timer = setTimeout(() => {
    stage.busy = false
    stage.send("knobs", { ...stage.knobs })
  }, wait)
}

const MAKERS = {
  number(stage, knob) {
    const label = node("label", "number", stage.panel)
    node("span", "", label, knob.label)
    const input = node("input", "", label)
    const output = node("output", "", label)
    Object.assign(input, { type: "range", min: knob.low, max: knob.high, step: knob.step })
    input.setAttribute("aria-label", knob.label)
    input.oninput = () => move(stage, { [knob.name]: Number(input.value) })
    input.onchange = () => tell(stage, 200)
    return (value) => {
      if (Number(input.value) !== value) input.value = value
      const text = knob.step < 1 ? num(value) : String(value)
      output.textContent = text
      input.setAttribute("aria-valuetext", text)
    }
  },
  choice(stage, knob) {
    const group = node("fieldset", "choice", stage.panel)
    node("legend", "", group, knob.label)
    const inputs = knob.options.map(([value, words]) => {
      const label = node("label", "", group)
      const input = node("input", "", label)
      node("span", "", label, words)
      Object.assign(input, { type: "radio", name: `${stage.data.scene}-${knob.name}`, value })
      input.onchange = () => {
        stage.knobs[knob.name] = value
        stage.busy = true
        tell(stage)
      }
      return input
    })
    return (value) => inputs.forEach((input) => (input.checked = input.value === value))
  },
  again(stage, knob) {
    const button = node("button", "", stage.panel, knob.label)
    button.type = "button"
    button.onclick = () => {
      move(stage, { [knob.name]: (stage.knobs[knob.name] % knob.high) + 1 })
      tell(stage, 200)
    }
    return () => {}
  },
}
MAKERS.seed = (stage, knob) => MAKERS.again(stage, knob)

// A button that runs a number up to its end, at about the pace of a film; at once where
// motion is not wanted. It starts only when it is pressed, and stops when pressed again.
function player(stage, knob) {
  const button = node("button", "", stage.panel, knob.play)
  button.type = "button"
  const still = matchMedia("(prefers-reduced-motion: reduce)")
  button.onclick = () => {
    if (stage.playing) return stop()
    if (still.matches) {
      move(stage, { [knob.name]: knob.high })
      return tell(stage)
    }
    button.textContent = knob.stop
    const begin = performance.now()
    const from = stage.knobs[knob.name] >= knob.high ? knob.low : stage.knobs[knob.name]
    stage.playing = true
    const turn = (now) => {
      if (!stage.playing) return
      const done = Math.min((now - begin) / 6000, 1)
      move(stage, { [knob.name]: from + done * (knob.high - from) })
      if (done < 1) requestAnimationFrame(turn)
      else stop()
    }
    requestAnimationFrame(turn)
  }
  const stop = () => {
    stage.playing = false
    button.textContent = knob.play
    tell(stage)
  }
}

function build(stage) {
  stage.panel.replaceChildren()
  stage.controls = {}
  stage.playing = false
  for (const knob of stage.data.knobs) {
    if (!knob.hidden) stage.controls[knob.name] = MAKERS[knob.kind](stage, knob)
    if (!knob.hidden && knob.play) player(stage, knob)
  }
}

// Handles are taken by the pointer; the knobs do the same from the keyboard.
function grab(stage) {
  const { svg } = stage
  const place = (event) => {
    const box = svg.getBoundingClientRect()
    return [event.clientX - box.left, event.clientY - box.top]
  }
  const near = (event) => {
    const [x, y] = place(event)
    const reach = event.pointerType === "touch" ? 28 : 18
    const far = (handle) => Math.hypot(handle.cx - x, handle.cy - y)
    const found = stage.handles.toSorted((a, b) => far(a) - far(b))[0]
    return found && far(found) < reach ? found : null
  }
  svg.onpointerdown = (event) => {
    const found = near(event)
    if (!found) return
    stage.held = stage.handles.indexOf(found)
    svg.setPointerCapture(event.pointerId)
    event.preventDefault()
  }
  svg.onpointermove = (event) => {
    if (stage.held === undefined) {
      svg.style.cursor = near(event) ? "grab" : ""
      return
    }
    const [x, y] = place(event)
    const { back, move: moved } = stage.handles[stage.held] ?? {}
    if (back) move(stage, moved(back.x(x), back.y(y)))
  }
  svg.onpointerup = svg.onpointercancel = () => {
    if (stage.held === undefined) return
    stage.held = undefined
    tell(stage)
  }
  // Where a finger could take a handle, the page must not scroll away under it.
  svg.ontouchstart = (event) => {
    if (stage.held !== undefined) event.preventDefault()
  }
}

export default function (component) {
  const { data, parentElement, setStateValue } = component
  let stage = stages.get(parentElement)
  if (!stage) {
    const root = parentElement.querySelector(".stage")
    stage = {
      root,
      svg: root.querySelector("svg"),
      facts: root.querySelector("dl"),
      panel: root.querySelector(".knobs"),
      handles: [],
      controls: {},
    }
    stages.set(parentElement, stage)
    grab(stage)
    stage.watch = new ResizeObserver(() => soon(stage))
    stage.watch.observe(root)
  }
  const before = stage.data
  stage.data = data
  stage.send = setStateValue
  stage.svg.setAttribute("aria-label", data.alt)
  if (!stage.busy) stage.knobs = { ...data.values }
  if (JSON.stringify(before?.knobs) !== JSON.stringify(data.knobs)) build(stage)
  follow(stage)
  draw(stage)
  saving(parentElement, {
    ...data,
    words: data.saving,
    svgs: () => [stage.svg],
    table: () => table(stage),
  })
  return () => {
    stage.watch.disconnect()
    clearTimeout(stage.timer)
    stage.playing = false
    stages.delete(parentElement)
  }
}
