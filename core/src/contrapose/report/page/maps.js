// The embedding maps. A sample that is pointed at is ringed in all of them, and tied to itself across modalities.
(() => {
  const host = document.getElementById("maps");
  if (!host || !data.maps) return;
  const SHAPES = [
    (r) => `M${-r} 0a${r} ${r} 0 1 0 ${2 * r} 0a${r} ${r} 0 1 0 ${-2 * r} 0`,
    (r) => `M${-r * 0.9} ${-r * 0.9}h${1.8 * r}v${1.8 * r}h${-1.8 * r}z`,
    (r) => `M0 ${-1.25 * r}L${1.15 * r} ${0.85 * r}H${-1.15 * r}z`,
    (r) => `M0 ${-1.35 * r}L${1.35 * r} 0L0 ${1.35 * r}L${-1.35 * r} 0z`,
    (r) => `M${-1.2 * r} ${-0.45 * r}h${2.4 * r}v${0.9 * r}h${-2.4 * r}z`,
    (r) => `M0 ${1.25 * r}L${1.15 * r} ${-0.85 * r}H${-1.15 * r}z`,
  ];
  const RADIUS = 4;
  const modalities = [...new Set(data.maps.flatMap((m) => m.modalities))];
  const labelled = data.classes.length > 0;
  const crowded = data.classes[data.classes.length - 1] === "other" && data.classes.length <= data.palette.length;
  const classColour = (c) => (c === undefined || (crowded && c === data.classes.length - 1) ? data.palette[data.palette.length - 1] : data.palette[c % data.palette.length]);
  const modalityColour = (m) => data.palette[modalities.indexOf(m) % data.palette.length];
  const shapeOf = (m) => SHAPES[modalities.indexOf(m) % SHAPES.length];
  let colouring = labelled ? "label" : "modality";
  let only = null; // the class or modality that the legend singles out

  const made = data.maps.map((map) => {
    const shared = map.modalities.length > 1;
    const side = shared || data.maps.length === 1 ? 600 : 300;
    const scale = (v) => 12 + v * (side - 24);
    const points = map.points.map(([id, m, x, y]) => {
      const modality = map.modalities[m];
      const at = { id, modality, x: scale(x), y: scale(1 - y) };
      at.node = svg("path", { class: "point", d: (shared ? shapeOf(modality) : SHAPES[0])(RADIUS), transform: `translate(${at.x.toFixed(1)} ${at.y.toFixed(1)})` });
      return at;
    });
    const mark = svg("g", { class: "mark" });
    const drawing = svg("svg", { viewBox: `0 0 ${side} ${side}`, tabindex: 0, role: "application", "aria-label": `Map of ${map.title}: arrow keys go from sample to sample, Enter keeps one` });
    drawing.append(...points.map((p) => p.node), mark);
    host.append(el("div", { class: shared ? "map shared" : "map" }, [el("h3", {}, map.title), drawing]));
    const self = { points, mark, drawing, order: [...points].sort((a, b) => a.x - b.x) };
    drawing.addEventListener("pointermove", (event) => {
      const found = under(self, event);
      if (found) card.show(found.id, event.clientX, event.clientY);
      else card.hide();
    });
    drawing.addEventListener("pointerleave", card.hide);
    drawing.addEventListener("click", (event) => {
      const found = under(self, event);
      if (found) card.keep(found.id, event.clientX, event.clientY);
      else card.keep(null);
    });
    drawing.addEventListener("keydown", (event) => {
      const by = { ArrowLeft: -1, ArrowUp: -1, ArrowRight: 1, ArrowDown: 1 }[event.key];
      if (by) {
        self.at = (((self.at ?? (by > 0 ? -1 : 0)) + by) % self.order.length + self.order.length) % self.order.length;
        card.keep(null);
      } else if (event.key !== "Enter" || self.at === undefined) return;
      event.preventDefault();
      const point = self.order[self.at];
      (by ? card.show : card.keep)(point.id, ...onScreen(self, point));
    });
    return self;
  });

  // The nearest point within reach of the pointer.
  function under(self, event) {
    const inverse = self.drawing.getScreenCTM().inverse();
    const { x, y } = new DOMPoint(event.clientX, event.clientY).matrixTransform(inverse);
    const reach = 14 * inverse.a;
    let best = null, least = reach * reach;
    for (const p of self.points) {
      const far = (p.x - x) ** 2 + (p.y - y) ** 2;
      if (far < least && !p.node.classList.contains("dim")) [best, least] = [p, far];
    }
    return best;
  }
  function onScreen(self, point) {
    const { x, y } = new DOMPoint(point.x, point.y).matrixTransform(self.drawing.getScreenCTM());
    return [x, y];
  }

  card.onChange((id) => {
    for (const { points, mark } of made) {
      const own = id === null ? [] : points.filter((p) => p.id === Number(id));
      const rings = own.map((p) => svg("path", { d: SHAPES[0](RADIUS + 3.5), transform: `translate(${p.x} ${p.y})` }));
      const ties = own.slice(1).map((p, i) => svg("path", { class: "tie", d: `M${own[i].x} ${own[i].y}L${p.x} ${p.y}` }));
      mark.replaceChildren(...ties, ...rings);
    }
  });

  function paint() {
    for (const { points } of made) {
      for (const p of points) {
        const of = data.samples[p.id].class;
        p.node.setAttribute("fill", colouring === "label" ? classColour(of) : modalityColour(p.modality));
        p.node.classList.toggle("dim", only !== null && only !== (colouring === "label" ? of : p.modality));
      }
    }
  }

  function controls() {
    const bar = document.getElementById("controls");
    const parts = [];
    if (labelled && modalities.length > 1) {
      const choice = el("span", { class: "choice", role: "group", "aria-label": "Colour by" });
      for (const by of ["label", "modality"]) {
        const button = el("button", { type: "button", "aria-pressed": colouring === by }, `by ${by}`);
        button.addEventListener("click", () => {
          [colouring, only] = [by, null];
          controls();
        });
        choice.append(button);
      }
      parts.push(choice);
    }
    const entries = colouring === "label" ? data.classes.map((name, c) => [c, name, classColour(c), SHAPES[0]]) : modalities.map((m) => [m, m, modalityColour(m), shapeOf(m)]);
    for (const [key, name, colour, shape] of entries) {
      const swatch = svg("svg", { viewBox: "-6 -6 12 12", "aria-hidden": "true" }, svg("path", { d: shape(4.5), fill: colour }));
      const entry = el("button", { type: "button", class: "entry", "aria-pressed": only === key, title: "Show these alone" }, [swatch, name]);
      entry.addEventListener("click", () => {
        only = only === key ? null : key;
        controls();
      });
      parts.push(entry);
    }
    bar.replaceChildren(...parts);
    paint();
  }
  controls();

  // An address that ends in #sample=12 opens with that sample's card.
  function open() {
    const id = decodeURIComponent(location.hash.match(/^#sample=(.+)$/)?.[1] ?? "");
    if (id === "" || !data.samples[id]) return;
    const self = made.find((m) => m.points.some((p) => p.id === Number(id))) ?? made[0];
    self.drawing.scrollIntoView({ block: "center", behavior: "instant" });
    const point = self.points.find((p) => p.id === Number(id));
    card.keep(id, ...(point ? onScreen(self, point) : [innerWidth / 2, innerHeight / 3]));
  }
  addEventListener("hashchange", open);
  open();
})();
