// The figures above the chart and the sentence: what a rank keeps, costs and means.

/** Accuracy at every rank, between two measured ones on the line between them. */
function estimated(curve, p) {
  const { ranks, accuracy } = curve
  const at = new Array(p + 1).fill(accuracy[0])
  for (let rank = 1, i = 0; rank <= p; rank++) {
    while (i < ranks.length - 1 && ranks[i + 1] < rank) i++
    const j = Math.min(i + 1, ranks.length - 1)
    const share = rank <= ranks[i] || i === j ? 0 : (rank - ranks[i]) / (ranks[j] - ranks[i])
    at[rank] = accuracy[i] + Math.min(1, share) * (accuracy[j] - accuracy[i])
  }
  return at
}

/** Stored weights of the layer: as it is, in two factors where that is smaller, or dense. */
function stored(size, rank) {
  if (rank >= size.rank) return size.layer
  return size.pairs ? Math.min(rank * (size.m + size.n), size.m * size.n) : size.m * size.n
}

function verdict(data, rank) {
  const { words, p, spikes, curve } = data
  const values = { rank, p, removed: p - rank, spikes, lost: spikes - rank, spare: rank - spikes }
  const key =
    rank === p ? "verdict_whole"
    : spikes === null ? "verdict_unfitted"
    : rank === spikes ? "verdict_edge"
    : rank < spikes ? "verdict_into" : "verdict_spare"
  const means = fill(words[key], values)
  if (!curve || rank === p) return means
  const shown = { samples: whole(curve.samples), unit: curve.unit, needed: curve.needed }
  return both(words, means, fill(words[rank >= curve.needed ? "no_loss" : "loss"], shown))
}

function accuracy(data, rank) {
  const { words, curve, exact, estimates } = data
  if (!curve) return { value: "–", note: words.measuring, text: "" }
  const sure = exact && exact.rank === rank
  const measured = sure || curve.ranks.includes(rank)
  const share = sure ? exact.accuracy : estimates[rank]
  const points = signed(100 * (share - (sure ? exact.whole : data.whole)))
  const values = { points, samples: whole(sure ? exact.samples : curve.samples), unit: curve.unit }
  return {
    value: `${measured ? "" : "≈ "}${percent(share, 2)}`,
    note: fill(words[measured ? "measured" : "estimate"], values),
    text: fill(words[measured ? "spoken" : "spoken_estimate"], { accuracy: percent(share, 2) }),
  }
}

/** Write all figures for a rank; return them as one sentence for those who do not see them. */
function readout(at, data, rank) {
  const { words, p, size } = data
  const values = { rank: whole(rank), p: whole(p), removed: whole(p - rank) }
  at.kept.textContent = whole(rank)
  at.keptNote.textContent = fill(words.kept_note, values)
  at.verdict.textContent = verdict(data, rank)
  let spoken = fill(words.spoken_rank, values)
  if (data.runs) {
    const read = accuracy(data, rank)
    at.accuracy.textContent = read.value
    at.accuracyNote.textContent = read.note
    if (read.text) spoken = both(words, spoken, read.text)
  } else if (data.removed) {
    at.accuracy.textContent = percent(data.removed[rank], 1)
    at.accuracyNote.textContent = words.removed_note
  }
  if (size) {
    const total = size.rest + stored(size, rank)
    at.stored.textContent = percent(total / size.whole)
    at.storedNote.textContent = fill(words.stored_note, { parameters: whole(total) })
    const share = percent(total / size.whole)
    spoken = both(words, spoken, fill(words.spoken_size, { share }))
  }
  return both(words, spoken, at.verdict.textContent)
}
