// The chart's numbers, a row a value.

function table(data, rank) {
  const { values, spikes, n, unit, p } = data
  const rows = values.map((v, i) => {
    const s = (v / unit[0]) ** (1 / unit[1])
    const learnt = spikes === null ? "" : Number(i < spikes)
    return [i + 1, s, (s * s) / n, learnt, Number(i < rank)].join(",")
  })
  return `rank,singular_value,eigenvalue,above_noise_edge,kept\n${rows.join("\n")}\n`
}
