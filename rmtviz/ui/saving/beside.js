// Beside a chart of Plotly: its layers lie in the page, by the key of their container.

export default function ({ data, parentElement }) {
  saving(parentElement, {
    ...data,
    svgs: () => [...document.querySelectorAll(`.st-key-${CSS.escape(data.chart)} .main-svg`)],
    table: () => data.table,
  })
}
