// Beside a chart of Plotly or Vega: its layers lie in the page, by the key of their container.

export default function ({ data, parentElement }) {
  saving(parentElement, {
    ...data,
    svgs: () => {
      const place = document.querySelector(`.st-key-${CSS.escape(data.chart)}`)
      return [...place.querySelectorAll("svg.main-svg, svg.marks")]
    },
    table: () => data.table,
  })
}
