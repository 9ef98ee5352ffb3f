// Elements, numbers and names. Text from the table only ever enters the page as text nodes.

function element(created, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) created.addEventListener(name.slice(2), value);
    else if (name === "style") Object.assign(created.style, value);
    else if (value !== null && value !== undefined && value !== false)
      created.setAttribute(name, value === true ? "" : value);
  }
  created.append(
    ...children.flat(Infinity).filter((child) => child !== null && child !== undefined),
  );
  return created;
}
const h = (tag, attributes = {}, ...children) =>
  element(document.createElement(tag), attributes, children);
const s = (tag, attributes = {}, ...children) =>
  element(document.createElementNS("http://www.w3.org/2000/svg", tag), attributes, children);
const note = (...text) => h("p", { class: "note" }, ...text);
const folded = (title, ...content) => h("details", {}, h("summary", {}, title), ...content);

const isNumber = (value) => typeof value === "number" && Number.isFinite(value);
const count = (value) => value.toLocaleString("en");
const plural = (value, one, many = one + "s") => `${count(value)} ${value === 1 ? one : many}`;
const minus = (text) => text.replace("-", "−");
function number(value) {
  if (!isNumber(value)) return value === null || value === undefined ? "–" : String(value);
  const size = Math.abs(value);
  if (size >= 1e12 || (size > 0 && size < 1e-4)) return minus(value.toExponential(2));
  if (size >= 1000) return minus(value.toLocaleString("en", { maximumFractionDigits: 0 }));
  return minus(value.toLocaleString("en", { maximumSignificantDigits: size < 1 ? 3 : 4 }));
}
// One number of decimals for all the values of a column.
function alike(values) {
  const sizes = values.filter((value) => isNumber(value) && value).map(Math.abs);
  const size = Math.max(0, ...sizes);
  if (size >= 1e12 || Math.min(Infinity, ...sizes) < 1e-3) return number;
  const whole = values.every((value) => !isNumber(value) || Number.isInteger(value));
  const digits = whole || size >= 1000 ? 0 : size >= 100 ? 1 : size >= 1 ? 2 : 3;
  const options = { minimumFractionDigits: digits, maximumFractionDigits: digits };
  return (value) => (isNumber(value) ? minus(value.toLocaleString("en", options)) : number(value));
}
const fixed = (value) =>
  isNumber(value) ? minus((Math.round(value * 1000) / 1000 + 0).toFixed(3)) : "–";
const percent = (value) =>
  isNumber(value) ? minus(`${(value * 100).toFixed(Math.abs(value) < 0.1 ? 2 : 1)}%`) : "–";
const signed = (text) => (text.startsWith("−") ? text : "+" + text);

// A missing value has the name null.
const plainName = (name) => (name === null ? "(missing)" : name.trim() === "" ? `"${name}"` : name);
const nameOf = (name) => h("bdi", { class: name === null ? "none" : null }, plainName(name));
function cut(text, length) {
  const characters = Array.from(text.replace(/\s+/g, " ").trim());
  return characters.length <= length
    ? characters.join("")
    : characters.slice(0, length - 1).join("") + "…";
}

// A table of texts; a cell is a text or a node, and columns are numbers unless named as text.
function table(titles, rows, textual = [0]) {
  const kind = (i) => ({ class: textual.includes(i) ? "text" : null });
  return h(
    "div",
    { class: "scroll" },
    h(
      "table",
      {},
      h(
        "thead",
        {},
        h("tr", {}, titles.map((title, i) => h("th", { scope: "col", ...kind(i) }, title))),
      ),
      h(
        "tbody",
        {},
        rows.map((row) => h("tr", {}, row.map((cell, i) => h("td", kind(i), cell)))),
      ),
    ),
  );
}

const METRICS = {
  rmse: ["RMSE", number, "root mean squared error, in the target's unit: large errors weigh most"],
  mae: ["MAE", number, "mean absolute error, in the target's unit"],
  mape: ["MAPE", percent, "mean absolute error as a share of the target"],
  r2: ["R²", fixed, "share of the target's variance that is explained: 1 is perfect, 0 is the mean"],
  log_loss: ["Log loss", fixed, "how unlikely the model held what then happened: 0 is perfect"],
  accuracy: ["Accuracy", percent, "share of rows whose class is right"],
  roc_auc: [
    "ROC AUC",
    fixed,
    "how often a row of the second class gets the higher probability of two: 1 always, 0.5 chance",
  ],
  average_precision: ["Average precision", fixed, "mean precision over all recalls: 1 is perfect"],
  macro_f1: ["Macro F1", fixed, "mean over the classes of F1, which joins precision and recall"],
};
const titled = (name) => (METRICS[name] ? METRICS[name][0] : String(name).replaceAll("_", " "));
const formatted = (name) => (METRICS[name] && METRICS[name][1]) || number;

// A table of the set's own files, such as comparison.csv.
function plainTable({ columns, rows }) {
  const formats = columns.map((name, i) =>
    METRICS[name] ? METRICS[name][1] : alike(rows.map((row) => row[i])),
  );
  const textual = columns
    .map((_, i) => i)
    .filter((i) => rows.some((row) => row[i] !== null && !isNumber(row[i])));
  return table(
    columns.map(titled),
    rows.map((row) => row.map((value, i) => formats[i](value))),
    textual,
  );
}
