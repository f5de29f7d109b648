// Elements from values. Text is always text: nothing here, or anywhere else, reads HTML from a string.

const SVG = "http://www.w3.org/2000/svg";

/**
 * Makes an element.
 *
 * `properties` are attributes; `class`, `on*` listeners and booleans as expected, null and undefined are left out.
 * Children are nodes, strings, numbers, arrays of them; null, undefined and false are left out.
 */
export function h(tag, properties, ...children) {
  return fill(document.createElement(tag), properties, children);
}

/** The same for an element of SVG. */
export function svg(tag, properties, ...children) {
  return fill(document.createElementNS(SVG, tag), properties, children);
}

function fill(element, properties, children) {
  for (const [name, value] of Object.entries(properties ?? {})) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? "" : String(value));
  }
  append(element, children);
  return element;
}

function append(element, children) {
  for (const child of children) {
    if (child === null || child === undefined || child === false) continue;
    if (Array.isArray(child)) append(element, child);
    else element.append(child instanceof Node ? child : String(child));
  }
}

/** Replaces what an element holds. */
export function replace(element, ...children) {
  element.replaceChildren();
  append(element, children);
}

/** Sets a text, if it is another: a screen reader is not told what did not change. */
export function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/** Says something to those who hear the page. */
export function announce(text) {
  setText(document.getElementById("announcements"), text);
}
