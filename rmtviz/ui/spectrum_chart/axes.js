// Where a length stands on the screen, and back: one panel, or a bulk panel and a strip beyond it.

const linear = (from, to, left, right) => ({
  to: (v) => left + ((v - from) / (to - from)) * (right - left),
  back: (px) => from + ((px - left) / (right - left)) * (to - from),
})

const logarithmic = (from, to, left, right) => {
  const inner = linear(Math.log(from), Math.log(to), left, right)
  return { to: (v) => inner.to(Math.log(Math.max(v, from))), back: (px) => Math.exp(inner.back(px)) }
}

const split = (x, left, right, narrow) => {
  const end = left + (right - left) * (narrow ? 0.64 : 0.72)
  const begin = end + (narrow ? 14 : 22)
  const near = linear(0, x.limit, left, end)
  const far = logarithmic(x.limit, x.top * 1.12, begin, right)
  return {
    end,
    begin,
    far,
    to: (v) => (v <= x.limit ? near.to(v) : far.to(v)),
    back: (px) => (px <= end ? near.back(px) : px < begin ? x.limit : far.back(px)),
  }
}

const steps = (from, to, about) => {
  const rough = (to - from) / Math.max(1, about)
  const unit = 10 ** Math.floor(Math.log10(rough))
  const step = unit * [1, 2, 2.5, 5, 10].find((each) => unit * each >= rough)
  const ticks = []
  for (let i = Math.ceil(from / step); i * step <= to * (1 + 1e-9); i++) ticks.push(i * step)
  return ticks
}

const decades = (from, to, about) => {
  const all = []
  for (let e = Math.floor(Math.log10(from)); e <= Math.log10(to); e++)
    for (const digit of [1, 2, 5]) {
      const tick = digit * 10 ** e
      if (tick >= from && tick <= to) all.push(tick)
    }
  const every = Math.ceil(all.length / about)
  if (all.length < 2) return [Number(Math.sqrt(from * to).toPrecision(2))]
  return all.filter((_, i) => (all.length - 1 - i) % every === 0)
}
