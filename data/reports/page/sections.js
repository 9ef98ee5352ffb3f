// The sections of the page, in the order of the questions that people ask.

const last = page.models.at(-1) || {};
const TASKS = { regression: "a number", binary: "two classes", multiclass: "several classes" };

function showHeader() {
  find("#title").append(page.table);
  const { name, task, classes } = page.target;
  const kind =
    task === "multiclass" && classes ? plural(classes.length, "class", "classes") : TASKS[task];
  const rows = last.rows || {};
  find("#subtitle").append(
    last.name === "Final model" ? "The final model" : "Entity embeddings",
    " for ",
    h("b", {}, h("bdi", {}, name)),
    ` (${kind}), from ${plural(page.columns.length, "categorical column")}`,
    page.numeric.length && last.name === "Final model"
      ? ` and ${plural(page.numeric.length, "numeric column")}`
      : "",
    isNumber(rows.train) ? `, learned from ${count(rows.train)} rows` : "",
    page.date ? `, ${page.date}` : "",
  );
  find("#theme").addEventListener("click", () => {
    const root = document.documentElement.style;
    const dark = root.colorScheme
      ? root.colorScheme === "dark"
      : matchMedia("(prefers-color-scheme: dark)").matches;
    root.colorScheme = dark ? "light" : "dark";
  });
}

// --------------------------------------------------------------------- is it good?

function showVerdict() {
  const section = find("#verdict"),
    { verdict } = last;
  const scored = page.models.filter((model) => model.test);
  if (!verdict && !scored.length && !page.comparison) return section.remove();
  if (verdict) {
    section.append(
      h("p", { class: `answer ${verdict.level}` }, verdict.text),
      comparisons(verdict),
    );
  }
  if (scored.length) section.append(metricsTable(scored, !verdict));
  if (page.comparison)
    section.append(
      folded(
        "Other models with and without the vectors",
        plainTable(page.comparison),
        note("Spread is the standard deviation over seeds: a smaller difference is chance."),
      ),
    );
}

function comparisons({ measure, comparisons: lines }) {
  return h(
    "div",
    {},
    table(
      [`${measure.title} compared with`, "Difference", "95% interval", "", "Theirs"],
      lines.map((line) => [line.with, line.change, line.interval, line.words, line.theirs]),
      [0, 3],
    ),
    note(`Ours: ${lines[0].ours}. `, measure.note),
  );
}

function metricsTable(scored, open) {
  const metrics = Object.keys(scored.at(-1).test);
  const meaningful = metrics.filter((name) => scored.some((model) => isNumber(model.test[name])));
  const line = (title, scores) => [
    title,
    ...meaningful.map((name) => formatted(name)((scores || {})[name])),
  ];
  const isNumeric = page.target.task === "regression";
  const rows = [
    line(`always predicting the ${isNumeric ? "mean" : "class shares"}`, scored.at(-1).baseline),
    ...Object.entries(last.peers || {}).map(([name, scores]) => line(name, scores)),
    ...scored.map((model) => line(model.name, model.test)),
    ...scored.map((model) => line(`${model.name}, validation rows`, model.validation)),
  ];
  const left = metrics.length > meaningful.length && metrics.includes("mape");
  const details = folded(
    "All figures",
    table(["", ...meaningful.map(titled)], rows),
    h(
      "dl",
      { class: "pairs" },
      meaningful
        .filter((name) => METRICS[name])
        .map((name) => [h("dt", {}, titled(name)), h("dd", {}, METRICS[name][2])]),
      left
        ? [h("dt", {}, "MAPE"), h("dd", {}, "left out: not meaningful, for there are targets near 0")]
        : [],
    ),
    note(
      `On ${count((scored.at(-1).rows || {}).test || 0)} test rows that training never saw, where not said otherwise. ${isNumeric ? "The mean is that" : "The class shares are those"} of the training rows.`,
      scored.some((model) => model.last_fit_epochs_with_validation_rows)
        ? " The figures of the validation rows were taken before the last fit, which trained on these rows too."
        : "",
    ),
  );
  details.open = open;
  return details;
}

// --------------------------------------------------------------- can it be trusted?

function showTrust() {
  const { verdict, charts: list = [], threshold } = last;
  const curves = page.models.filter((model) => model.curve);
  if (!verdict && !list.length && !curves.length) return find("#trust").remove();
  const section = find("#trust");
  if (verdict && verdict.hangs_on.length)
    section.append(
      h("h3", {}, "What the result depends on"),
      h("ul", { class: "points" }, verdict.hangs_on.map((text) => h("li", {}, text))),
    );
  if (list.length) section.append(charts(list.slice(0, 3)));
  if (threshold) section.append(thresholdTable(threshold));
  if (list.length > 3)
    section.append(folded(`${plural(list.length - 3, "more picture")}`, charts(list.slice(3))));
  if (curves.length)
    section.append(
      folded(
        "Learning curves",
        charts(curves.map((model) => model.curve)),
        note(
          "Training rows are seen with dropout, so their loss may lie above that of the validation rows.",
        ),
      ),
    );
}

// The confusion matrix of two classes, at a threshold that can be moved.
function thresholdTable({ negative, positive, counts }) {
  const box = h("div");
  const slider = h("input", {
    type: "range",
    min: 0,
    max: counts.length - 1,
    value: (counts.length - 1) / 2,
    "aria-label": `Threshold of the probability of ${positive}`,
  });
  const share = (part, whole) => (whole ? percent(part / whole) : "–");
  const show = () => {
    const [hit, alarm, missed, quiet] = counts[slider.value];
    const at = (slider.value / (counts.length - 1)).toFixed(2);
    slider.setAttribute("aria-valuetext", at);
    box.replaceChildren(
      h(
        "p",
        {},
        "Say ",
        h("b", {}, h("bdi", {}, positive)),
        ` where its probability is at least ${at}: of these rows ${share(hit, hit + alarm)} are (precision), and ${share(hit, hit + missed)} of all such rows are found (recall). ${share(hit + quiet, hit + alarm + missed + quiet)} of the rows are right.`,
      ),
      table(
        ["", `said ${positive}`, `said ${negative}`],
        [
          [`is ${positive}`, count(hit), count(missed)],
          [`is ${negative}`, count(alarm), count(quiet)],
        ],
      ),
    );
  };
  slider.addEventListener("input", show);
  show();
  return h(
    "div",
    { class: "threshold", id: "threshold" },
    h("h3", {}, "Confusion at a threshold"),
    slider,
    box,
  );
}

// ------------------------------------------ which columns matter, and what they do

function showImportance() {
  const models = page.models.filter((model) => model.importance);
  if (!models.length) return find("#importance").remove();
  const shown = models.at(-1);
  find("#importance").append(
    h("p", {}, shown.importance.text),
    charts([shown.importance.chart]),
    ...models
      .slice(0, -1)
      .map((model) =>
        folded(`In the first script's model`, charts([model.importance.chart])),
      ),
  );
}

function showEffects() {
  const { effects } = last;
  if (!effects) return find("#effects").remove();
  const section = find("#effects");
  if (effects.numbers.length)
    section.append(
      h("h3", {}, "Numeric columns"),
      note(
        "The mean prediction while the column takes each value and all else stays as it is (partial dependence), with some single rows, and below how often the values occur. Where the column is correlated with others, some of these combinations never occur.",
      ),
      charts(effects.numbers.slice(0, 3)),
      ...(effects.numbers.length > 3
        ? [folded(plural(effects.numbers.length - 3, "more numeric column"), charts(effects.numbers.slice(3)))]
        : []),
    );
  if (effects.categories.length)
    section.append(
      h("h3", {}, "Categorical columns"),
      note(effects.note),
      charts(effects.categories.slice(0, 3)),
      ...(effects.categories.length > 3
        ? [
            folded(
              plural(effects.categories.length - 3, "more categorical column"),
              charts(effects.categories.slice(3)),
            ),
          ]
        : []),
    );
}

// --------------------------------------------------------------- where is it wrong?

function showErrors() {
  const section = find("#errors");
  if (!page.errors || !page.errors.rows.length) return section.remove();
  const { model, measures, rows } = page.errors;
  const largest = Math.max(...rows.map((row) => row[4]), 1e-300);
  const formats = measures.map((_, k) => alike(rows.map((row) => row[4 + k])));
  const present = [...new Set(rows.map((row) => row[0]))].sort((a, b) => a - b);
  const choice = h(
    "select",
    { "aria-label": "Column", class: "only-screen" },
    h("option", { value: "" }, "all columns"),
    present.map((column) => h("option", { value: column }, cut(page.columns[column].name, 40))),
  );
  const name = (text) => h("bdi", {}, cut(plainName(text), 80));
  const line = ([column, i, text, rowCount, error, ...rest]) => [
    h("bdi", {}, cut(page.columns[column].name, 40)),
    i === null
      ? name(text)
      : h("button", { type: "button", onclick: () => choose(column, i, { show: true }) }, name(text)),
    count(rowCount),
    [formats[0](error), h("span", { class: "bar", style: { width: `${(100 * error) / largest}%` } })],
    ...rest.map((value, k) => formats[k + 1](value)),
  ];
  const titles = measures.map((measure) => {
    const text = titled(measure);
    return text[0].toUpperCase() + text.slice(1);
  });
  const body = h("div");
  const fill = () =>
    body.replaceChildren(
      table(
        ["Column", "Category", "Test rows", ...titles],
        rows
          .filter((row) => choice.value === "" || row[0] === Number(choice.value))
          .slice(0, 10)
          .map(line),
        [0, 1],
      ),
    );
  choice.addEventListener("change", fill);
  fill();
  section.append(
    note(
      `The categories whose test rows have the largest errors: ${model.toLowerCase()}; categories with at least 10 test rows where there are such.`,
    ),
    choice,
    body,
  );
}

// ------------------------------------------------------ what next, how was it made?

function showNext() {
  const steps = [...((last.verdict || {}).next || []), ...page.commands];
  if (!steps.length && !page.files.length) return find("#next").remove();
  find("#next").append(
    ...steps.map(({ why, command }) => [h("h3", {}, why), command ? h("pre", {}, command) : null]).flat().filter(Boolean),
  );
  if (page.files.length)
    find("#next").append(
      h("h3", {}, "Files beside this page"),
      h(
        "ul",
        { class: "points" },
        page.files.map(([path, what]) =>
          h("li", {}, h("a", { href: encodeURI(path) }, path), `: ${what}`),
        ),
      ),
    );
}

function showTrainedOn() {
  const section = find("#trained-on");
  const lines = page.columns.map((column) => [
    h("bdi", {}, cut(column.name, 40)),
    count(column.categories),
    count(column.size),
    count(column.missing),
    column.names
      .slice(0, 3)
      .map((name, i) => [i ? ", " : "", h("bdi", {}, cut(plainName(name), 30))]),
  ]);
  const titles = [
    "Categorical column",
    "Categories",
    "Numbers in a vector",
    "Rows without a value",
    "Most frequent",
  ];
  const columns = [table(titles, lines, [0, 4])];
  if (page.numeric.length)
    columns.push(
      h(
        "p",
        { style: { marginTop: "10px" } },
        h("span", { class: "soft" }, "Numeric columns: "),
        page.numeric.map((name, i) => [i ? ", " : "", h("bdi", {}, name)]),
      ),
    );
  section.append(folded("Columns", ...columns));
  const parts = page.details.map(([title, pairs]) => [
    h("h3", {}, title),
    h(
      "dl",
      { class: "pairs" },
      pairs.map(([name, value]) => [h("dt", {}, name), h("dd", {}, value)]),
    ),
  ]);
  const vectors = (i) => page.details[i][0].startsWith("Vectors");
  section.append(...parts.filter((_, i) => vectors(i)).flat());
  const others = parts.filter((_, i) => !vectors(i)).flat();
  if (others.length)
    section.append(folded("Target, split, options and versions", ...others));
}
