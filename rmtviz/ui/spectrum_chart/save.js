// Exports: the picture as it stands, its numbers, and the lines of Python that make it.

function hand(parent, name, blob) {
  const link = document.createElement("a")
  link.href = URL.createObjectURL(blob)
  link.download = name
  parent.append(link)
  link.click()
  link.remove()
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000)
}

/** The drawing with its title above and the paper behind it, as a file of its own. */
function standing(svg, data) {
  const [, , width, height] = svg.getAttribute("viewBox").split(" ").map(Number)
  const copy = svg.cloneNode(true)
  copy.querySelectorAll(".ring, .spike-focus").forEach((each) => each.remove())
  const head = 34
  copy.setAttribute("viewBox", `-12 ${-head - 8} ${width + 24} ${height + head + 16}`)
  copy.setAttribute("width", width + 24)
  copy.setAttribute("height", height + head + 16)
  const paper = document.createElementNS(SPACE, "rect")
  const sides = { x: -12, y: -head - 8, width: width + 24, height: height + head + 16 }
  for (const key in sides) paper.setAttribute(key, sides[key])
  paper.setAttribute("fill", data.colours.paper)
  copy.prepend(paper)
  draw(copy, "text", {
    x: 0, y: -16, fill: data.colours.ink, "font-size": 15, "font-weight": 600,
    "font-family": data.font,
  }, data.words.title)
  return new XMLSerializer().serializeToString(copy)
}

function picture(svg, data, done) {
  const text = standing(svg, data)
  const image = new Image()
  image.onload = () => {
    const canvas = document.createElement("canvas")
    canvas.width = 2 * image.width
    canvas.height = 2 * image.height
    const context = canvas.getContext("2d")
    context.drawImage(image, 0, 0, canvas.width, canvas.height)
    canvas.toBlob(done, "image/png")
  }
  image.src = `data:image/svg+xml;charset=utf-8,${encodeURIComponent(text)}`
}

function table(data, rank) {
  const { values, spikes, n, unit, p } = data
  const rows = values.map((v, i) => {
    const s = (v / unit[0]) ** (1 / unit[1])
    const learnt = spikes === null ? "" : Number(i < spikes)
    return [i + 1, s, (s * s) / n, learnt, Number(i < rank)].join(",")
  })
  return `rank,singular_value,eigenvalue,above_noise_edge,kept\n${rows.join("\n")}\n`
}

async function copied(text) {
  try {
    await navigator.clipboard.writeText(text)
    return true
  } catch {
    return false // not allowed outside https and localhost: the lines can be marked by hand
  }
}

function saving(root, state) {
  const at = (name) => root.querySelector(`.save ${name}`)
  const { data } = state
  at("summary").textContent = data.words.save
  at("pre").textContent = data.code
  at(".png").onclick = () =>
    picture(state.svg, data, (blob) => hand(root, `${data.file}.png`, blob))
  at(".svg").onclick = () =>
    hand(root, `${data.file}.svg`, new Blob([standing(state.svg, data)], { type: "image/svg+xml" }))
  at(".csv").onclick = () =>
    hand(root, `${data.file}.csv`, new Blob([table(data, state.rank)], { type: "text/csv" }))
  at(".python").onclick = async () => {
    at("pre").hidden = false
    at(".done").textContent = (await copied(data.code)) ? data.words.copied : ""
  }
}
