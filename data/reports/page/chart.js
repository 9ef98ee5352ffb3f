// Charts as data/reports/charts.py describes them: axes with their ticks, and marks.

const CHART_WIDTH = 420;
const LINE_HEIGHT = 18; // of a name on the vertical axis

function drawChart({ title, note: caption, x, y, marks }) {
  const widest = Math.max(0, ...y.ticks.map(([, text]) => textWidth(cut(text, 22))));
  const left = Math.min(170, 26 + widest),
    right = CHART_WIDTH - 12,
    height = Math.max(270, y.ticks.length * LINE_HEIGHT + 60),
    top = 10,
    bottom = height - 42;
  const scale = (axis, from, to) => {
    const warp = axis.log ? Math.log : (value) => value;
    const low = warp(axis.low),
      high = warp(axis.high);
    return (value) => from + ((to - from) * (warp(value) - low)) / (high - low);
  };
  const at = { x: scale(x, left, right), y: scale(y, bottom, top) };
  const svg = s("svg", {
    class: "chart",
    viewBox: `0 0 ${CHART_WIDTH} ${height}`,
    role: "img",
    "aria-label": [title, caption].filter(Boolean).join(". "),
  });
  svg.append(...grid(x, y, at, { left, right, top, bottom }));
  for (const mark of marks) svg.append(...DRAWN[mark.kind](mark, at));
  const named = marks.filter((mark) => mark.name);
  return h(
    "figure",
    {},
    h("figcaption", {}, h("h3", {}, h("bdi", {}, title)), caption ? note(caption) : null),
    svg,
    named.length
      ? h(
          "div",
          { class: "legend" },
          named.map(({ name, colour, dashed }) =>
            h(
              "span",
              {},
              h("span", { style: { color: `var(--${colour})` } }, dashed ? "┅" : "●"),
              ` ${name}`,
            ),
          ),
        )
      : null,
  );
}

const ruler = document.createElement("canvas").getContext("2d");
function textWidth(text) {
  ruler.font = "12px system-ui, -apple-system, 'Segoe UI', 'Noto Sans', 'DejaVu Sans', sans-serif";
  return ruler.measureText(text).width;
}

function grid(x, y, at, { left, right, top, bottom }) {
  const nodes = [];
  for (const [value, text] of y.ticks) {
    const height = at.y(value);
    nodes.push(
      s("line", { class: "grid", x1: left, x2: right, y1: height, y2: height }),
      s(
        "text",
        { class: "tick", x: left - 6, y: height + 4, "text-anchor": "end", direction: "ltr" },
        cut(text, 22),
      ),
    );
  }
  const widest = Math.max(...x.ticks.map(([, text]) => textWidth(cut(text, 12))));
  const every = Math.ceil((x.ticks.length * (widest + 8)) / (right - left));
  for (const [i, [value, text]] of x.ticks.entries()) {
    const across = at.x(value);
    nodes.push(s("line", { class: "grid", x1: across, x2: across, y1: top, y2: bottom }));
    if (i % every) continue;
    const anchor = across > right - widest / 2 ? "end" : "middle";
    nodes.push(
      s(
        "text",
        {
          class: "tick",
          x: anchor === "end" ? Math.min(across + widest / 2, right + 10) : across,
          y: bottom + 16,
          "text-anchor": anchor,
          direction: "ltr",
        },
        cut(text, 12),
      ),
    );
  }
  nodes.push(
    s(
      "text",
      { class: "tick", x: (left + right) / 2, y: bottom + 36, "text-anchor": "middle" },
      cut(x.label, 60),
    ),
    s(
      "text",
      {
        class: "tick",
        x: -(top + bottom) / 2,
        y: 12,
        transform: "rotate(-90)",
        "text-anchor": "middle",
      },
      cut(y.label, 36),
    ),
  );
  return nodes;
}

const tipNode = (tips, i) => (tips ? s("title", {}, tips[i]) : null);
const DRAWN = {
  line({ x, y, colour, dots, dashed, faint }, at) {
    const style = { stroke: `var(--${colour})` };
    const points = x.map((value, i) => `${at.x(value).toFixed(1)},${at.y(y[i]).toFixed(1)}`);
    const kind = dashed ? "dashed" : faint ? "faint" : null;
    return [
      s("polyline", { class: kind, points: points.join(" "), style }),
      ...(dots ? DRAWN.dots({ x, y, colour, size: 4 }, at) : []),
    ];
  },
  dots({ x, y, colour, size, tips }, at) {
    return x.map((value, i) =>
      s(
        "circle",
        {
          cx: at.x(value).toFixed(1),
          cy: at.y(y[i]).toFixed(1),
          r: size * 0.65,
          style: { fill: `var(--${colour})` },
        },
        tipNode(tips, i),
      ),
    );
  },
  boxes({ x0, x1, y0, y1, colour, shades, texts, tips }, at) {
    const corners = x0.map((_, i) => [at.x(x0[i]), at.x(x1[i]), at.y(y0[i]), at.y(y1[i])]);
    return [
      ...corners.map(([a, b, c, d], i) =>
        s(
          "rect",
          {
            x: Math.min(a, b).toFixed(1),
            y: Math.min(c, d).toFixed(1),
            width: Math.abs(b - a).toFixed(1),
            height: Math.abs(d - c).toFixed(1),
            style: { fill: `var(--${colour})`, fillOpacity: shades ? shades[i] : 0.8 },
          },
          tipNode(tips, i),
        ),
      ),
      ...(texts || []).map((text, i) => {
        const [a, b, c, d] = corners[i];
        return s("text", { class: "cell", x: (a + b) / 2, y: (c + d) / 2 + 4 }, text);
      }),
    ];
  },
  spans({ x0, y0, x1, y1, colour }, at) {
    return x0.map((_, i) =>
      s("line", {
        x1: at.x(x0[i]).toFixed(1),
        y1: at.y(y0[i]).toFixed(1),
        x2: at.x(x1[i]).toFixed(1),
        y2: at.y(y1[i]).toFixed(1),
        style: { stroke: `var(--${colour})`, strokeWidth: 1.6 },
      }),
    );
  },
};
const charts = (list) =>
  h("div", { class: list.length === 1 ? "charts single" : "charts" }, list.map(drawChart));
