// The card of a sample: what it looks like in every modality. One at a time; it follows the pointer, or is kept.
const card = (() => {
  const node = document.getElementById("card");
  const listeners = [];
  let kept = null;

  // A preview: a picture, a sound, both, or words. Only the card plays: a frame on the page is a button.
  function preview(id, modality, playing) {
    const found = data.samples[id]?.previews[modality];
    if (found === null || found === undefined) return [el("span", { class: "missing" }, "missing")];
    const words = found.words ?? (found.picture || playing ? undefined : "▶ sound");
    const box = [];
    if (found.picture) box.push(el("img", { src: found.picture, alt: `${modality} of sample ${id}` }));
    if (words !== undefined) box.push(el("span", { class: words.length < 40 ? "words short" : "words" }, words));
    if (found.sound && playing) box.push(el("audio", { src: found.sound, controls: "", preload: "none" }));
    return box;
  }

  function fill(id) {
    const sample = data.samples[id];
    const close = el("button", { type: "button", "aria-label": "Close" }, "✕");
    close.addEventListener("click", () => keep(null));
    const title = sample.label === undefined ? `#${id}` : `#${id} · ${sample.label}`;
    const views = Object.entries(sample.previews).map(([modality, found]) =>
      el("figure", found?.picture ? {} : { class: "text" }, [el("div", { class: "shown" }, preview(id, modality, true)), el("figcaption", {}, modality)]));
    node.replaceChildren(el("header", {}, [el("span", {}, title), close]), el("div", { class: "views" }, views));
  }

  // Beside a point of the window, within it.
  function place(x, y) {
    const { clientWidth: width, clientHeight: height } = document.documentElement;
    const w = node.offsetWidth, h = node.offsetHeight, gap = 16;
    const left = x + gap + w + 8 < width ? x + gap : x - gap - w;
    const top = Math.min(y + gap, height - h - 8);
    node.style.left = `${Math.max(8, left) + scrollX}px`;
    node.style.top = `${Math.max(8, top) + scrollY}px`;
  }

  function show(id, x, y) {
    if (kept !== null) return;
    open(id, x, y);
  }
  function open(id, x, y) {
    if (node.dataset.sample !== String(id)) fill(id);
    node.dataset.sample = id;
    node.hidden = false;
    place(x, y);
    listeners.forEach((tell) => tell(id));
  }
  function hide() {
    if (kept !== null) return;
    node.hidden = true;
    node.removeAttribute("data-sample");
    listeners.forEach((tell) => tell(null));
  }
  // Keep a sample's card, its address in the page's; null lets it go.
  function keep(id, x, y) {
    kept = null;
    if (id === null) hide();
    else {
      open(id, x, y);
      kept = id;
    }
    node.classList.toggle("kept", kept !== null);
    const hash = kept === null ? "" : `#sample=${kept}`;
    if (kept !== null || location.hash.startsWith("#sample=")) history.replaceState(null, "", location.pathname + location.search + hash);
  }
  addEventListener("keydown", (event) => event.key === "Escape" && keep(null));
  return { show, hide, keep, preview, kept: () => kept, onChange: (tell) => listeners.push(tell) };
})();
