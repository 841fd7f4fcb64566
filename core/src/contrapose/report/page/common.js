"use strict";
// What the page shows, and the few functions that all of its scripts use. Text reaches the page as text alone.
const data = JSON.parse(document.getElementById("data").textContent);
const SVG = document.createElementNS.bind(document, "http://www.w3.org/2000/svg");

function set(node, attributes, children) {
  for (const [key, value] of Object.entries(attributes || {})) {
    if (value !== null && value !== undefined) node.setAttribute(key, value);
  }
  node.append(...[children ?? []].flat());
  return node;
}
const el = (name, attributes, children) => set(document.createElement(name), attributes, children);
const svg = (name, attributes, children) => set(SVG(name), attributes, children);

// Three digits, or one decimal of a share in per cent.
function format(value, percent) {
  if (value === null || value === undefined) return "–";
  if (percent) return (100 * value).toFixed(1) + " %";
  const size = Math.abs(value);
  if (size !== 0 && (size < 1e-3 || size >= 1e5)) return value.toExponential(2).replace("e-", "e−").replace("e+", "e");
  return String(Number(value.toPrecision(size < 1 ? 3 : 4))).replace("-", "−");
}

// Round numbers from low to high, about as many as asked for.
function ticks(low, high, about) {
  const rough = (high - low) / about || 1;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((m) => m * power).find((s) => s >= rough * 0.99);
  const found = [];
  for (let t = Math.ceil(low / step - 1e-9); t * step <= high + step * 1e-9; t++) found.push(Number((t * step).toPrecision(12)));
  return found;
}
