// Every picture is taken home as PNG, SVG, CSV, and as the lines of Python that make it.

const DRAWN = "http://www.w3.org/2000/svg"
const LOOKS = [
  "fill", "fill-opacity", "stroke", "stroke-width", "stroke-opacity", "stroke-dasharray",
  "stroke-linejoin", "paint-order", "opacity", "visibility", "display", "text-anchor",
  "font-family", "font-size", "font-weight",
]

function hand(parent, name, blob) {
  const link = document.createElement("a")
  link.href = URL.createObjectURL(blob)
  link.download = name
  parent.append(link)
  link.click()
  link.remove()
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000)
}

/** A copy of a drawing that needs no stylesheet. */
function undressed(svg, passing) {
  const copy = svg.cloneNode(true)
  const copies = copy.querySelectorAll("*")
  svg.querySelectorAll("*").forEach((each, i) => {
    const style = getComputedStyle(each)
    for (const name of LOOKS) copies[i].setAttribute(name, style.getPropertyValue(name))
    copies[i].removeAttribute("style")
  })
  if (passing) copy.querySelectorAll(passing).forEach((each) => each.remove())
  return copy
}

/** Drawings that lie over each other, with a title above and the paper behind, as one file. */
function portrait(root, svgs, title, passing) {
  const theme = (name) => getComputedStyle(root.querySelector(".save")).getPropertyValue(`--st-${name}`).trim()
  const { width, height } = svgs[0].getBoundingClientRect()
  const [edge, head] = [12, title ? 42 : 12]
  const whole = document.createElementNS(DRAWN, "svg")
  const add = (kind, attributes, text = "") => {
    const made = document.createElementNS(DRAWN, kind)
    for (const key in attributes) made.setAttribute(key, attributes[key])
    made.textContent = text
    whole.append(made)
  }
  whole.setAttribute("width", width + 2 * edge)
  whole.setAttribute("height", height + head + edge)
  add("rect", { width: width + 2 * edge, height: height + head + edge, fill: theme("background-color") })
  const letters = { "font-family": theme("font"), "font-size": 15, "font-weight": 600 }
  add("text", { x: edge, y: 26, fill: theme("text-color"), ...letters }, title)
  for (const svg of svgs) {
    const copy = undressed(svg, passing)
    for (const [key, value] of Object.entries({ x: edge, y: head, width, height })) copy.setAttribute(key, value)
    whole.append(copy)
  }
  return new XMLSerializer().serializeToString(whole)
}

function pixels(text, done) {
  const image = new Image()
  image.onload = () => {
    const canvas = document.createElement("canvas")
    canvas.width = 2 * image.width
    canvas.height = 2 * image.height
    canvas.getContext("2d").drawImage(image, 0, 0, canvas.width, canvas.height)
    canvas.toBlob(done, "image/png")
  }
  image.src = `data:image/svg+xml;charset=utf-8,${encodeURIComponent(text)}`
}

async function copied(text) {
  try {
    await navigator.clipboard.writeText(text)
    return true
  } catch {
    return false // not allowed outside https and localhost: the lines can be marked by hand
  }
}

/** Let a picture be saved: `svgs` and `table` are asked when a button is pressed. */
function saving(root, { svgs, table, code, file, title, words, passing }) {
  const at = (name) => root.querySelector(`.save ${name}`)
  const text = () => portrait(root, svgs(), title, passing)
  at("summary").textContent = words.save
  at("pre").textContent = code
  at(".png").onclick = () => pixels(text(), (blob) => hand(root, `${file}.png`, blob))
  at(".svg").onclick = () => hand(root, `${file}.svg`, new Blob([text()], { type: "image/svg+xml" }))
  at(".csv").onclick = () => hand(root, `${file}.csv`, new Blob([table()], { type: "text/csv" }))
  at(".python").onclick = async () => {
    at("pre").hidden = false
    at(".done").textContent = (await copied(code)) ? words.copied : ""
  }
}
