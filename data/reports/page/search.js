// The search over the names of all categories.

const fold = (text) => text.normalize("NFKD").replace(/\p{M}/gu, "").toLowerCase();
let foldedNames = null; // every name once, when the first letter is typed

function search(query) {
  foldedNames ??= page.columns.map((column) => column.names.map((name) => fold(plainName(name))));
  const wanted = fold(query.trim()),
    found = [];
  foldedNames.forEach((names, column) =>
    names.forEach((name, i) => {
      const at = name.indexOf(wanted);
      if (at < 0) return;
      const rank = name === wanted ? 0 : at === 0 ? 1 : 2;
      found.push({ column, i, rank, here: column === state.column ? 0 : 1 });
    }),
  );
  found.sort(
    (a, b) =>
      a.rank - b.rank ||
      a.here - b.here ||
      page.columns[b.column].rows[b.i] - page.columns[a.column].rows[a.i],
  );
  return found.slice(0, 10);
}

function startSearch() {
  const input = find("#search"),
    list = find("#results");
  let found = [],
    active = -1;
  const close = () => {
    list.hidden = true;
    input.setAttribute("aria-expanded", "false");
    input.removeAttribute("aria-activedescendant");
  };
  const mark = (i) => {
    active = i;
    [...list.children].forEach((item, k) => item.setAttribute("aria-selected", String(k === i)));
    if (i >= 0) input.setAttribute("aria-activedescendant", `result-${i}`);
  };
  const take = (i) => {
    close();
    input.value = "";
    choose(found[i].column, found[i].i);
  };
  const open = () => {
    if (!input.value.trim()) return close();
    found = search(input.value);
    list.replaceChildren(
      ...found.map(({ column, i }, k) =>
        h(
          "li",
          {
            id: `result-${k}`,
            role: "option",
            onpointerdown: (event) => {
              event.preventDefault();
              take(k);
            },
          },
          nameOf(page.columns[column].names[i]),
          h(
            "span",
            {},
            h("bdi", {}, cut(page.columns[column].name, 30)),
            `, ${plural(page.columns[column].rows[i], "row")}`,
          ),
        ),
      ),
    );
    if (!found.length)
      list.append(
        h(
          "li",
          { class: "soft", role: "option", "aria-disabled": "true" },
          "No such category in this report",
        ),
      );
    list.hidden = false;
    input.setAttribute("aria-expanded", "true");
    mark(found.length ? 0 : -1);
  };
  input.addEventListener("input", open);
  input.addEventListener("blur", close);
  input.addEventListener("keydown", (event) => {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (step && list.hidden) open();
    else if (step && found.length) mark((active + step + found.length) % found.length);
    else if (event.key === "Enter" && !list.hidden && active >= 0) take(active);
    else if (event.key === "Escape" && !list.hidden) close();
    else return;
    event.preventDefault();
  });
}

