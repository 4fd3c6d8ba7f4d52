// The component: one state a node, redrawn for new data or a new width, moved in the same frame.

const states = new WeakMap()
const PATIENCE = 250 // milliseconds after the last key, until Python is told

export default function (component) {
  const { parentElement, data } = component
  const root = parentElement.querySelector(".chart")
  if (!root || !data) return undefined
  let state = states.get(root)
  if (!state) {
    state = { root, rank: data.rank, of: data.of, width: 0 }
    for (const name of ["kept", "accuracy", "stored", "verdict"])
      state[name] = root.querySelector(`.${name}`)
    for (const name of ["kept", "accuracy", "stored"])
      state[`${name}Note`] = root.querySelector(`.${name}-note`)
    state.stage = root.querySelector(".stage")
    state.svg = root.querySelector("svg")
    state.tip = root.querySelector(".tip")
    state.observer = new ResizeObserver(() => fit(state))
    state.observer.observe(state.stage)
    states.set(root, state)
  }
  const other = data.of !== state.of
  if (other) {
    clearTimeout(state.timer)
    state.dragging = state.timer = null
  }
  if (other || (!state.dragging && !state.timer)) state.rank = data.rank
  state.of = data.of
  state.send = (rank) => component.setStateValue("cut", { of: data.of, rank })
  data.estimates = data.curve && estimated(data.curve, data.p)
  state.data = data
  dress(state)
  state.width = 0
  fit(state)
  return () => state.observer.disconnect()
}

function dress(state) {
  const { root, data } = state
  const { words, colours } = data
  root.style.setProperty("--muted", colours.muted)
  root.style.setProperty("--card", colours.card)
  root.querySelector(".kept-name").textContent = words.kept
  root.querySelector(".accuracy-name").textContent = data.runs ? words.accuracy : words.removed
  root.querySelector(".stored-name").textContent = words.stored
  root.querySelector(".figures").style.display = data.reads ? "" : "none"
  root.querySelector(".verdict").style.display = data.reads ? "" : "none"
  state.stage.classList.toggle("drags", data.drags)
  state.svg.setAttribute("role", "group")
  state.svg.setAttribute("aria-label", words.alt)
  saving(root.parentNode, {
    ...data,
    words: data.saving,
    title: words.title,
    svgs: () => [state.svg],
    table: () => table(data, state.rank),
    passing: ".ring, .spike-focus",
  })
}

function fit(state) {
  const width = Math.round(state.stage.clientWidth)
  if (width < 50 || width === state.width) return
  const focused = state.svg.getRootNode().activeElement?.classList.contains("grip")
  state.width = width
  state.scene = scene(state.svg, state.data, width)
  walk(state)
  listen(state)
  show(state)
  if (focused) state.scene.cut.group.focus({ preventScroll: true })
}

/** Move all that moves to the state's rank: the one thing that happens while dragging. */
function show(state) {
  const { scene, data, rank } = state
  const spoken = data.reads && readout(state, data, rank)
  if (!data.drags) return
  const at = scene.places[rank]
  const right = data.picture !== "scree"
  scene.clip.setAttribute("x", right ? at : 0)
  scene.clip.setAttribute("width", right ? scene.width - at : at)
  scene.cut.group.setAttribute("transform", `translate(${at.toFixed(1)} 0)`)
  if (scene.dot) {
    scene.dot.node.setAttribute("cx", at)
    scene.dot.node.setAttribute("cy", scene.dot.to(rank))
  }
  const [gone, kept] = [fill(data.words.gone, { count: data.p - rank }), fill(data.words.stays, { count: rank })]
  const [before, after] = right ? [gone, kept] : [kept, gone]
  const { reach } = scene.cut
  const [fitsBefore, fitsAfter] = [at - reach(before) > scene.left, at + reach(after) < scene.width]
  scene.cut.before.textContent = fitsBefore ? before : ""
  scene.cut.after.textContent = fitsAfter ? after : ""
  scene.cut.group.setAttribute("aria-valuenow", data.p - rank)
  scene.cut.group.setAttribute("aria-valuetext", spoken)
}

function ranked(state, x) {
  const { data, scene } = state
  if (data.picture === "scree")
    return Math.max(1, Math.min(data.p, Math.round(scene.scale.back(x) - 0.5)))
  const value = x <= scene.left ? -Infinity : scene.scale.back(x)
  let [low, high] = [0, data.p]
  while (low < high) {
    const middle = (low + high) >> 1
    if (data.values[middle] > value) low = middle + 1
    else high = middle
  }
  return Math.max(1, low)
}

function listen(state) {
  const { stage, svg, data, scene } = state
  const place = (event) => {
    const box = svg.getBoundingClientRect()
    return [event.clientX - box.left, event.clientY - box.top]
  }
  const move = (event) => {
    state.rank = ranked(state, place(event)[0])
    show(state)
  }
  svg.onpointerdown = (event) => {
    const [x, y] = place(event)
    if (!data.drags || event.button || x < scene.left - 8 || y > scene.bottom + 8) return
    svg.setPointerCapture(event.pointerId)
    state.dragging = { from: state.rank }
    hush(state)
    if (event.pointerType === "mouse") event.preventDefault()
    scene.cut.group.focus({ preventScroll: true })
    move(event)
  }
  svg.onpointermove = (event) => {
    if (state.dragging) move(event)
    else if (event.pointerType === "mouse") point(state, ...place(event))
  }
  svg.onpointerup = () => {
    if (!state.dragging) return
    state.dragging = null
    state.send(state.rank)
  }
  svg.onpointercancel = () => {
    if (!state.dragging) return
    state.rank = state.dragging.from
    state.dragging = null
    show(state)
  }
  svg.onpointerleave = () => state.dragging || hush(state)
  if (data.drags) scene.cut.group.onkeydown = (event) => pressed(state, event)
}

/** Right cuts more, left keeps more; Page keys take larger steps, Home keeps all, End one. */
function pressed(state, event) {
  const { p, picture } = state.data
  const large = Math.max(2, Math.round(p / 20))
  const steps = {
    ArrowRight: -1, ArrowUp: -1, ArrowLeft: 1, ArrowDown: 1, PageUp: -large, PageDown: large,
    Home: p, End: -p,
  }
  const step = steps[event.key]
  if (step === undefined) return
  event.preventDefault()
  const side = picture === "scree" && event.key.startsWith("Arrow") ? -1 : 1
  state.rank = Math.max(1, Math.min(p, state.rank + side * step))
  show(state)
  clearTimeout(state.timer)
  state.timer = setTimeout(() => {
    state.timer = null
    state.send(state.rank)
  }, PATIENCE)
}
