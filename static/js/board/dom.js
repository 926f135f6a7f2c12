// Writes to the page only what has changed.

export function setText(element, text) {
  const only = element?.firstChild;
  if (only?.nodeType === Node.TEXT_NODE && !only.nextSibling) {
    if (only.data !== text) only.data = text;
  } else if (element && element.textContent !== text) {
    element.textContent = text;
  }
}

export function setData(element, name, value) {
  if (element && element.dataset[name] !== value) element.dataset[name] = value;
}

export function setHidden(element, hidden) {
  if (element && element.hidden !== hidden) element.hidden = hidden;
}

/** A part that is not drawn yet is busy. */
export function setBusy(element, busy) {
  if (element.getAttribute("aria-busy") !== String(busy)) {
    element.setAttribute("aria-busy", String(busy));
  }
}

/** The element that some HTML describes; never of text from elsewhere. */
export function element(html) {
  const template = document.createElement("template");
  template.innerHTML = html.trim();
  return template.content.firstElementChild;
}
