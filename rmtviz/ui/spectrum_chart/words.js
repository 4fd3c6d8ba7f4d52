// Sentences come from Python with open fields; numbers are written here, as Python writes them.

const fill = (sentence, values = {}) =>
  sentence.replace(/\{(\w+)\}/g, (field, name) => values[name] ?? field)

/** Two sentences, as the language sets them: Japanese has no space between. */
const both = (words, first, second) => fill(words.both, { first, second })

const percent = (share, digits = 1) => `${(100 * share).toFixed(digits)}%`

const signed = (number, digits = 2) => {
  const text = Math.abs(number).toFixed(digits)
  return `${Number(text) === 0 ? "±" : number < 0 ? "−" : "+"}${text}`
}

const whole = (number) => Math.round(number).toLocaleString("en-US")

const short = (number) => {
  if (number === 0) return "0"
  const digits = Math.max(0, 2 - Math.floor(Math.log10(Math.abs(number))))
  return Number(number.toFixed(Math.min(digits, 12))).toString()
}
