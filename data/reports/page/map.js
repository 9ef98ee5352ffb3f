// The maps: where points, names and leader lines are is decided in data/reports/maps.py.

const LINKED = 5; // neighbours that the map shows
const state = { column: 0, chosen: 0, focus: null, zoom: 1, x: 0, y: 0 };
const chosenColumn = () => page.columns[state.column];

const targetName = () => cut(page.target.name, 30);
const meanText = (column, i) =>
  column.means ? `mean ${targetName()} ${number(column.means[i])}` : null;
const rowsText = (column, i) => plural(column.rows[i], "training row");

function colour(shade) {
  if (!isNumber(shade)) return "var(--middle)";
  const end = shade < 0 ? "low" : "high";
  return `color-mix(in oklab, var(--${end}) ${Math.round(Math.abs(shade) * 100)}%, var(--middle))`;
}

// Draw a column into an SVG; returns the points as {i, x, y, r, node}, those in view.
function drawMap(svg, column, layout, { chosen = null, zoom = 1, x = 0, y = 0 } = {}) {
  const { width, height } = layout;
  const all = layout.points.map(([a, b, r], i) => ({
    i,
    x: width / 2 + zoom * (a - width / 2 + x),
    y: height / 2 + zoom * (b - height / 2 + y),
    r,
  }));
  const inView = (p) => p.x > -20 && p.y > -20 && p.x < width + 20 && p.y < height + 20;
  const points = all.filter(inView);
  const alikeOnes = (_, k) => column.similarities[chosen][k] > 0;
  const near =
    chosen === null ? [] : column.neighbours[chosen].slice(0, LINKED).filter(alikeOnes);
  const center = all[chosen];
  const links = near
    .filter((i) => center && all[i])
    .map((i) => s("line", { class: "link", x1: center.x, y1: center.y, x2: all[i].x, y2: all[i].y }));
  for (const point of points) {
    const kind = point.i === chosen ? " chosen" : near.includes(point.i) ? " near" : "";
    const fill = column.shades ? colour(column.shades[point.i]) : null;
    point.node = s("circle", {
      class: `point${kind}`,
      cx: point.x.toFixed(1),
      cy: point.y.toFixed(1),
      r: point.r,
      style: { ...(fill && { fill }), opacity: 0.2 + 0.8 * column.sure[point.i] },
    });
  }
  svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
  svg.replaceChildren(
    ...links,
    ...[...points].sort((a, b) => b.r - a.r).map((point) => point.node), // small ones on top
    ...names(layout, all, zoom, chosen === null ? [] : [chosen, ...near], column),
  );
  return points;
}

// Names in their places; the chosen ones are always there, and hide what they cover.
function names(layout, all, zoom, wanted, column) {
  const text = (point, x, y, words, kind = "") =>
    s("text", { class: `label${kind}`, x: point.x + x, y: point.y + y, direction: "ltr" }, words);
  const box = ([, , x, y, , words], point) => {
    const left = point.x + x;
    return [left, point.y + y - 11, left + textWidth(words) * 1.05, point.y + y + 3];
  };
  const overlap = (a, b) => a[0] < b[2] && b[0] < a[2] && a[1] < b[3] && b[1] < a[3];
  const placed = new Map(layout.labels.map((label) => [label[0], label]));
  const kept = [],
    taken = [];
  for (const i of [...wanted, ...placed.keys()]) {
    const point = all[i];
    if (!point || kept.some(([j]) => j === i)) continue;
    let label = placed.get(i);
    if (!label || label[1] > zoom) {
      if (!wanted.includes(i)) continue;
      const words = cut(plainName(column.names[i]), 24);
      const before = point.x + point.r + textWidth(words) + 6 > layout.width;
      const x = before ? -point.r - 4 - textWidth(words) * 1.05 : point.r + 3;
      label = [i, 1, x, 4, null, words];
    }
    const place = box(label, point);
    if (wanted.length && !wanted.includes(i) && taken.some((other) => overlap(place, other)))
      continue;
    if (wanted.includes(i)) {
      if (i !== wanted[0] && taken.some((other) => overlap(place, other))) continue;
      taken.push(place);
    }
    kept.push([i, label]);
  }
  return kept.flatMap(([i, [, , x, y, leader, words]]) => [
    ...(leader
      ? [
          s("line", {
            class: "leader",
            x1: all[i].x,
            y1: all[i].y,
            x2: all[i].x + leader[0],
            y2: all[i].y + leader[1],
          }),
        ]
      : []),
    text(all[i], x, y, words, i === wanted[0] ? " chosen" : ""),
  ]);
}

let drawn = []; // the points of the interactive map
const layoutHere = () =>
  chosenColumn().layouts[find("#map").getBoundingClientRect().width < 560 ? "narrow" : "wide"];
function redraw() {
  const svg = find("#map");
  if (!svg.getBoundingClientRect().width) return;
  drawn = drawMap(svg, chosenColumn(), layoutHere(), state);
  svg.classList.toggle("zoomed", state.zoom > 1);
  svg.setAttribute(
    "aria-label",
    `Map of ${chosenColumn().name}. Arrow keys move from category to category, Enter chooses, plus and minus zoom.`,
  );
}
// From the map's own units to pixels of the screen.
const enlarged = () => find("#map").getBoundingClientRect().width / layoutHere().width;

function showTip(point) {
  for (const node of document.querySelectorAll(".point.hover")) node.classList.remove("hover");
  state.focus = point ? point.i : null;
  const tip = find("#tip");
  tip.hidden = !point;
  if (!point) return;
  const column = chosenColumn(),
    size = enlarged();
  point.node.classList.add("hover");
  tip.replaceChildren(
    h("b", {}, nameOf(column.names[point.i])),
    h("div", {}, rowsText(column, point.i)),
    ...(column.means ? [h("div", {}, meanText(column, point.i))] : []),
  );
  const box = find("#map").getBoundingClientRect();
  const x = point.x * size,
    y = point.y * size;
  const beside = x + 14 + tip.offsetWidth < box.width ? x + 14 : x - 14 - tip.offsetWidth;
  tip.style.left = `${Math.max(4, Math.min(beside, box.width - tip.offsetWidth - 4))}px`;
  tip.style.top = `${Math.max(4, Math.min(y - 20, box.height - tip.offsetHeight - 4))}px`;
}
const say = (text) => {
  find("#said").textContent = text;
};

function choose(column, i, { show = false } = {}) {
  if (column !== state.column) Object.assign(state, { column, zoom: 1, x: 0, y: 0 });
  state.chosen = i;
  showTip(null);
  redraw();
  showColumn();
  showChosen();
  if (show) find("#maps .finder").scrollIntoView({ block: "start" });
}

function showColumn() {
  const column = chosenColumn();
  for (const [i, button] of [...find("#columns").children].entries())
    button.setAttribute("aria-pressed", String(i === state.column));
  find("#legend").replaceChildren(...colourKey(column), h("span", {}, "area: training rows"),
    h("span", {}, "faint: not known well"));
  const shown = column.names.length;
  find("#how").replaceChildren(
    `${column.how}.` +
      (shown < column.categories ? ` The search knows the ${count(shown)} most frequent.` : ""),
    ...(column.warning ? [h("span", { class: "warning", style: { display: "block" } }, column.warning)] : []),
  );
}

// The colours from the lowest to the highest mean that occurs.
function colourKey(column) {
  if (!column.shades) return [];
  const { centre, half, low, high } = page.scale;
  const stops = [0, 1, 2, 3, 4, 5, 6].map((k) => (low + ((high - low) * k) / 6 - centre) / half);
  const background = `linear-gradient(to right in oklab, ${stops.map(colour).join(", ")})`;
  return [
    h("span", {}, `mean ${targetName()}`, " ", number(low), h("i", { style: { background } }), number(high)),
  ];
}

function showChosen() {
  const column = chosenColumn(),
    i = state.chosen,
    aside = find("#chosen");
  if (!column.names.length)
    return aside.replaceChildren(note("No category was seen in training."));
  const pairs = [["Training rows", count(column.rows[i])]];
  if (column.means) {
    const mean = column.means[i];
    pairs.push([`Mean ${targetName()}`, number(mean)]);
    if (isNumber(mean))
      pairs.push(["Against the mean of all", signed(number(mean - page.scale.centre))]);
  }
  aside.replaceChildren(
    h("span", { class: "soft" }, h("bdi", {}, column.name)),
    nameOf(column.names[i]),
    h("dl", {}, pairs.map(([name, value]) => [h("dt", {}, name), h("dd", {}, value)])),
    ...neighbourList(column, i),
    ...(i >= column.layouts.wide.points.length ? [note("Too rare to be on the map.")] : []),
    ...(column.sure[i] < 0.5 ? [note("Its vector is not known well: do not rely on its position.")] : []),
  );
  say(`${plainName(column.names[i])}, ${column.name}: ${rowsText(column, i)}`);
}

function neighbourList(column, i) {
  if (!column.neighbours[i].length) return [];
  const items = column.neighbours[i].map((other, k) => {
    const similarity = column.similarities[i][k];
    const title = [rowsText(column, other), meanText(column, other)].filter(Boolean).join(", ");
    return h(
      "li",
      {},
      h(
        "button",
        { type: "button", onclick: () => choose(state.column, other), title },
        nameOf(column.names[other]),
        h(
          "span",
          { class: "soft" },
          `${minus((similarity / 100).toFixed(2))} · ${plural(column.rows[other], "row")}`,
        ),
        h("span", { class: "bar", style: { width: `${Math.max(0, similarity)}%` } }),
      ),
    );
  });
  return [
    h("h3", {}, "Nearest neighbours"),
    h("ol", {}, items),
    note("Cosine similarity of the vectors (1 at most) and training rows, among categories that are known well."),
  ];
}
