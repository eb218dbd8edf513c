"use strict";
/* What the page knows, and which of it is filtered out. */
const report = JSON.parse(document.getElementById("data").textContent);
const hiddenPlaces = {}; // by axis, the places of its values that are filtered out
const filterListeners = [];

/** True if nothing of `places` (by axis) is filtered out. */
function passes(places) {
  return Object.entries(places).every(([axis, place]) => !hiddenPlaces[axis]?.has(place));
}

/** Create an element with attributes, of which `text` is its content. */
function make(name, { text, ...attributes } = {}, children = []) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  if (text !== undefined) made.textContent = text;
  made.append(...children);
  return made;
}

/** Compare values in the order of a sort: numbers by size, else texts; what is missing comes last in both orders. */
function inOrder(one, other, sign) {
  if (one === null || other === null) return (one === null) - (other === null);
  if (typeof one === "number" && typeof other === "number") return sign * (one - other);
  return sign * String(one).localeCompare(String(other), undefined, { numeric: true });
}

/** Turn the sort of a column around, or begin with it, and return its sign. */
function turnedSort(head) {
  const sign = head.getAttribute("aria-sort") === "ascending" ? -1 : 1;
  for (const other of head.parentElement.children) other.removeAttribute("aria-sort");
  head.setAttribute("aria-sort", sign === 1 ? "ascending" : "descending");
  return sign;
}
