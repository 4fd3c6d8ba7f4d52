// What one points at: a bar with what the law expects there, or a spike with all that is known.

function tell(state, x, y, lines, image) {
  const { tip, stage } = state
  const box = tip.querySelector(".lines")
  box.replaceChildren(...lines.filter(Boolean).map((line) => {
    const row = document.createElement("div")
    row.textContent = line
    return row
  }))
  const canvas = tip.querySelector("canvas")
  canvas.hidden = !image
  if (image) vector(canvas, image, state.data.colours)
  tip.hidden = false
  const room = stage.clientWidth - tip.offsetWidth
  const beside = x + 16 > room ? x - tip.offsetWidth - 16 : x + 16
  tip.style.transform = `translate(${Math.max(0, Math.min(room, beside))}px, ${Math.max(0, y)}px)`
}

function hush(state) {
  state.tip.hidden = true
  state.scene.ring.setAttribute("visibility", "hidden")
}

/** A direction of 784 inputs as 28 × 28: one sign in blue, the other in ink, nothing as paper. */
function vector(canvas, encoded, colours) {
  const bytes = Uint8Array.from(atob(encoded), (letter) => letter.charCodeAt(0))
  const context = canvas.getContext("2d")
  const image = context.createImageData(28, 28)
  const rgb = (hex) => [1, 3, 5].map((i) => parseInt(hex.slice(i, i + 2), 16))
  const [paper, plus, minus] = [colours.paper, colours.learnt, colours.ink].map(rgb)
  bytes.forEach((byte, i) => {
    const value = (byte - 128) / 127
    const end = value > 0 ? plus : minus
    const share = Math.abs(value)
    for (let c = 0; c < 3; c++) image.data[4 * i + c] = paper[c] + share * (end[c] - paper[c])
    image.data[4 * i + 3] = 255
  })
  context.putImageData(image, 0, 0)
}

function spike(state, i) {
  const { data, scene } = state
  const { words, values, cut, unit, picture, points } = data
  const known = data.known[i]
  const at = picture === "scree"
    ? [scene.scale.to(points[i][0]), scene.up.to(points[i][1])]
    : i < data.x.far && picture === "histogram" ? beyond(data, scene.scale, scene.up)[i]
    : [scene.scale.to(values[i]), scene.bottom]
  scene.ring.setAttribute("cx", at[0])
  scene.ring.setAttribute("cy", at[1])
  scene.ring.setAttribute("visibility", "visible")
  const times = cut === null ? null : (((values[i] / cut) ** (1 / unit[1])).toFixed(2))
  const numbers = { rank: i + 1, value: short(values[i]), times }
  const lines = [fill(words.spike, numbers)]
  if (known) {
    const shares = { near: percent(known.near, 0), far: percent(known.far, 0) }
    lines.push(
      fill(words.spike_edge, numbers),
      fill(words.spike_energy, { energy: percent(known.energy) }),
      fill(words.spike_strength, { strength: short(known.strength) }),
      fill(words[data.tall ? "spike_shares_tall" : "spike_shares"], shares),
    )
  }
  const without = data.without[i]
  if (without) lines.push(fill(words[without.changed ? "spike_without" : "spike_idle"], without))
  tell(state, at[0], Math.min(at[1], scene.bottom - 150), lines, data.images[i])
  return lines.join(". ")
}

function bar(state, x) {
  const { data, scene } = state
  const value = scene.scale.back(x)
  const found = data.bars.find(([from, to]) => from <= value && value < to)
  if (!found) return hush(state)
  const [from, to, count] = found
  const middle = (from + to) / 2
  const next = data.law.findIndex((point) => point[0] >= middle)
  const expected = next > 0 ? data.law[next][1] : 0
  const values = { count, from: short(from), to: short(to), expected: expected.toFixed(1) }
  scene.ring.setAttribute("visibility", "hidden")
  const lines = [fill(data.words.bar, values)]
  if (data.law.length) lines.push(fill(data.words.bar_law, values))
  tell(state, x, Math.max(scene.top - 10, 0), lines)
}

/** Show what stands under the pointer. */
function point(state, x, y) {
  const { data, scene } = state
  const { picture, points, values, spikes, cut } = data
  if (y < scene.top || y > scene.bottom + 24 || x < scene.left) return hush(state)
  if (picture === "histogram") {
    const learnt = spikes !== null && spikes > 0 && x > scene.scale.to(cut)
    const far = data.x.far && x >= scene.scale.begin
    if (!learnt && !far) return bar(state, x)
    const most = spikes === null ? data.x.far : Math.max(spikes, data.x.far)
    return spike(state, nearest(most, (i) => scene.scale.to(values[i]), x))
  }
  if (picture === "scree") return spike(state, nearest(data.p, (i) => scene.scale.to(points[i][0]), x))
  return hush(state)
}

function nearest(count, at, x) {
  let best = 0
  for (let i = 1; i < count; i++) if (Math.abs(at(i) - x) < Math.abs(at(best) - x)) best = i
  return best
}

/** Let the spikes be walked through with the keys, as a slider of their own. */
function walk(state) {
  const { data, scene, svg } = state
  const most = data.known.length
  if (!most || data.picture !== "histogram") return
  const from = scene.scale.to(data.cut)
  const group = draw(svg, "g", {
    class: "spike-focus", tabindex: 0, role: "slider", "aria-label": data.words.spikes,
    "aria-valuemin": 1, "aria-valuemax": most, "aria-valuenow": 1,
    "aria-valuetext": fill(data.words.spike, { rank: 1, value: short(data.values[0]) }),
  })
  draw(group, "rect", {
    class: "ring", x: from, width: scene.right - from, y: scene.bottom + 1, height: 5, opacity: 0,
    fill: data.colours.learnt,
  })
  let now = 0
  const show = () => {
    group.setAttribute("aria-valuenow", now + 1)
    group.setAttribute("aria-valuetext", spike(state, now))
  }
  group.onfocus = show
  group.onblur = () => hush(state)
  group.onkeydown = (event) => {
    const step = { ArrowRight: -1, ArrowUp: -1, ArrowLeft: 1, ArrowDown: 1 }[event.key]
    const to = { Home: 0, End: most - 1 }[event.key] ?? (step && now + step)
    if (to === undefined) return
    event.preventDefault()
    now = Math.max(0, Math.min(most - 1, to))
    show()
  }
}
