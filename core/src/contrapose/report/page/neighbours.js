// The neighbours: pictures into their frames, and one direction at a time.
(() => {
  for (const frame of document.querySelectorAll("button.shown")) {
    const { sample, modality } = frame.dataset;
    frame.append(...card.preview(sample, modality));
    const beside = () => {
      const box = frame.getBoundingClientRect();
      return [box.right - 12, box.top];
    };
    frame.addEventListener("pointerenter", () => card.show(sample, ...beside()));
    frame.addEventListener("pointerleave", card.hide);
    frame.addEventListener("click", () => card.keep(card.kept() === sample ? null : sample, ...beside()));
  }
  const bar = document.getElementById("tabs");
  const panels = [...document.querySelectorAll(".direction")];
  if (!bar || panels.length < 2) return;
  const buttons = panels.map((panel) => el("button", { type: "button" }, panel.dataset.title));
  const choose = (n) => panels.forEach((panel, i) => {
    panel.hidden = i !== n;
    panel.classList.add("chosen");
    buttons[i].setAttribute("aria-pressed", i === n);
  });
  buttons.forEach((button, i) => button.addEventListener("click", () => choose(i)));
  bar.append(...buttons);
  choose(0);
})();
