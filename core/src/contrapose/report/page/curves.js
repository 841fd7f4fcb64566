// The curves: all charts share their steps, so pointing at one reads all of them at that step.
function drawCurves() {
  const host = document.getElementById("charts");
  if (!host || !data.curves) return;
  const { steps, epochs, charts } = data.curves;
  const colours = ["var(--ink)", ...data.palette];
  const made = charts.map(chart);
  let shown = null;

  function chart(of) {
    const own = of.series.map((s, i) => (of.series[0].name === "loss" || of.series.length === 1 ? colours[i % colours.length] : data.palette[i % data.palette.length]));
    const values = of.series.map(() => el("b"));
    const at = el("span", { class: "at" });
    const keys = of.series.map((s, i) => {
      const swatch = el("i");
      swatch.style.background = own[i];
      return el("span", {}, [swatch, s.name, values[i]]);
    });
    const drawing = svg("svg", { tabindex: 0, role: "img", "aria-label": `${of.title} by step: ${of.series.map((s) => s.name).join(", ")}` });
    host.append(el("div", { class: "chart" }, [el("h3", {}, [of.title, at]), el("small", {}, of.note), el("div", { class: "keys" }, keys), drawing]));
    const self = { of, own, values, at, drawing };
    drawing.addEventListener("pointermove", (event) => read(nearest(self, event)));
    drawing.addEventListener("pointerleave", () => read(null));
    drawing.addEventListener("blur", () => read(null));
    drawing.addEventListener("keydown", (event) => {
      const by = { ArrowLeft: -1, ArrowRight: 1, PageUp: -10, PageDown: 10 }[event.key];
      if (!by) return;
      event.preventDefault();
      read(Math.min(steps.length - 1, Math.max(0, (shown ?? (by < 0 ? steps.length : -1)) + by)));
    });
    return self;
  }

  function draw(self) {
    const width = self.drawing.clientWidth || 360, height = self.drawing.parentNode.offsetWidth > 700 ? 250 : 170;
    if (width === self.width) return;
    self.width = width;
    const all = self.of.series.flatMap((s) => [...s.mean, ...(s.low || []), ...(s.high || [])]).filter((v) => v !== null);
    let low = Math.min(...all), high = Math.max(...all);
    if (self.of.zero) low = Math.min(0, low);
    const margin = (high - low || Math.abs(high) || 1) * 0.06;
    if (low !== 0) low -= margin;
    high += margin;
    const box = { left: 46, right: width - 10, top: 8, bottom: height - 22 };
    const first = steps[0], last = steps[steps.length - 1];
    self.x = (i) => (last === first ? (box.left + box.right) / 2 : box.left + ((steps[i] - first) / (last - first)) * (box.right - box.left));
    self.y = (v) => box.bottom - ((v - low) / (high - low)) * (box.bottom - box.top);
    const parts = [];
    for (const t of ticks(low, high, height > 200 ? 5 : 4)) {
      parts.push(svg("path", { class: "grid", d: `M${box.left} ${self.y(t)}H${box.right}` }));
      parts.push(svg("text", { x: box.left - 8, y: self.y(t) + 4, "text-anchor": "end" }, format(t, self.of.percent).replace(".0 %", " %")));
    }
    for (const t of ticks(first, last, width / 110).filter(Number.isInteger)) {
      const x = last === first ? self.x(0) : box.left + ((t - first) / (last - first)) * (box.right - box.left);
      parts.push(svg("text", { x, y: height - 5, "text-anchor": "middle" }, t.toLocaleString("en")));
    }
    self.of.series.forEach((s, i) => {
      if (s.low) parts.push(svg("path", { class: "band", fill: self.own[i], d: band(self, s) }));
    });
    self.of.series.forEach((s, i) => {
      parts.push(svg("path", { class: "curve", stroke: self.own[i], d: line(self, s.mean) }));
      if (s.mean.filter((v) => v !== null).length === 1) {
        const k = s.mean.findIndex((v) => v !== null);
        parts.push(svg("circle", { cx: self.x(k), cy: self.y(s.mean[k]), r: 3, fill: self.own[i] }));
      }
    });
    self.reading = svg("g");
    self.drawing.replaceChildren(...parts, self.reading);
    self.drawing.setAttribute("viewBox", `0 0 ${width} ${height}`);
  }

  // A path that breaks where there is no value.
  function line(self, values) {
    let path = "", open = false;
    values.forEach((v, i) => {
      if (v !== null) path += `${open ? "L" : "M"}${self.x(i).toFixed(1)} ${self.y(v).toFixed(1)}`;
      open = v !== null;
    });
    return path;
  }
  function band(self, s) {
    const there = s.mean.map((v, i) => (v === null ? -1 : i)).filter((i) => i >= 0);
    const edge = (values) => (i) => `${self.x(i).toFixed(1)} ${self.y(values[i]).toFixed(1)}`;
    return "M" + [...there.map(edge(s.high)), ...there.reverse().map(edge(s.low))].join("L") + "Z";
  }

  function nearest(self, event) {
    const box = self.drawing.getBoundingClientRect();
    const x = ((event.clientX - box.left) / box.width) * self.width;
    let best = 0;
    steps.forEach((_, i) => {
      if (Math.abs(self.x(i) - x) < Math.abs(self.x(best) - x)) best = i;
    });
    return best;
  }

  // Show every chart's values at one point, or, for null, at the last.
  function read(index) {
    shown = index;
    for (const self of made) {
      self.reading.replaceChildren();
      self.at.textContent = index === null ? "" : `step ${steps[index].toLocaleString("en")}, epoch ${epochs[index]}`;
      if (index !== null) self.reading.append(svg("path", { class: "rule", d: `M${self.x(index)} 8V${self.drawing.viewBox.baseVal.height - 22}` }));
      self.of.series.forEach((s, i) => {
        const value = index === null ? s.mean.findLast((v) => v !== null) : s.mean[index];
        self.values[i].textContent = format(value, self.of.percent);
        if (index !== null && value !== null) self.reading.append(svg("circle", { cx: self.x(index), cy: self.y(value), r: 3.5, fill: self.own[i] }));
      });
    }
  }

  const redraw = () => {
    made.forEach(draw);
    read(shown);
  };
  redraw();
  new ResizeObserver(redraw).observe(host);
}
drawCurves();
