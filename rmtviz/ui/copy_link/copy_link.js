// Copy the address. Browsers give the clipboard to secure pages only; elsewhere the address
// is shown, selected, for the reader to copy.

export default function ({ data, parentElement }) {
  const button = parentElement.querySelector("button")
  button.textContent = data.link
  button.onclick = async () => {
    try {
      await navigator.clipboard.writeText(location.href)
      button.textContent = data.done
      setTimeout(() => (button.textContent = data.link), 2000)
    } catch {
      prompt(data.failed, location.href)
    }
  }
}
