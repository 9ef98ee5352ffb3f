// Pointer, keyboard and zoom on the map.

function startMaps() {
  if (!page.columns.length) return find("#maps").remove();
  find("#columns").append(
    ...page.columns.map((column, i) =>
      h(
        "button",
        { type: "button", title: column.name, onclick: () => choose(i, 0) },
        h("bdi", {}, column.name),
        " ",
        h("small", {}, count(column.categories)),
      ),
    ),
  );
  const svg = find("#map");
  new ResizeObserver(redraw).observe(svg);
  redraw();
  showColumn();
  showChosen();
  say("");
  startPointer(svg);
  startKeys(svg);
  for (const [i, factor] of [2, 0.5, 0].entries())
    document.querySelectorAll(".zoom button")[i].addEventListener("click", () => zoomBy(factor));
}

function startPointer(svg) {
  const nearest = (event) => {
    const box = svg.getBoundingClientRect(),
      size = enlarged();
    const x = (event.clientX - box.left) / size,
      y = (event.clientY - box.top) / size;
    const distance = (point) => Math.hypot(point.x - x, point.y - y) - point.r;
    const best = drawn.reduce((a, b) => (a && distance(a) <= distance(b) ? a : b), null);
    return best && distance(best) < 24 ? best : null;
  };
  let held = null;
  svg.addEventListener("pointermove", (event) => {
    if (held && state.zoom > 1) {
      const scale = state.zoom * enlarged();
      state.x += (event.clientX - held.x) / scale;
      state.y += (event.clientY - held.y) / scale;
      held.moved += Math.abs(event.clientX - held.x) + Math.abs(event.clientY - held.y);
      [held.x, held.y] = [event.clientX, event.clientY];
      showTip(null);
      redraw();
    } else showTip(nearest(event));
  });
  svg.addEventListener("pointerdown", (event) => {
    held = { x: event.clientX, y: event.clientY, moved: 0 };
  });
  addEventListener("pointerup", () =>
    setTimeout(() => {
      held = null;
    }),
  );
  svg.addEventListener("pointerleave", () => showTip(null));
  svg.addEventListener("click", (event) => {
    const point = nearest(event);
    if (!point || (held && held.moved > 4)) return;
    choose(state.column, point.i);
    showTip(drawn.find(({ i }) => i === point.i));
  });
}

function startKeys(svg) {
  svg.addEventListener("focus", () => {
    if (svg.matches(":focus-visible")) move(drawn.find(({ i }) => i === state.chosen) || drawn[0]);
  });
  svg.addEventListener("blur", () => showTip(null));
  const move = (point) => {
    if (!point) return;
    showTip(point);
    const column = chosenColumn();
    say(
      [plainName(column.names[point.i]), rowsText(column, point.i), meanText(column, point.i)]
        .filter(Boolean)
        .join(", "),
    );
  };
  svg.addEventListener("keydown", (event) => {
    const direction = {
      ArrowRight: [1, 0],
      ArrowLeft: [-1, 0],
      ArrowDown: [0, 1],
      ArrowUp: [0, -1],
    }[event.key];
    const from = drawn.find(({ i }) => i === state.focus) || drawn[0];
    if (direction && from) move(towards(from, direction) || from);
    else if (event.key === "Enter" && from) {
      choose(state.column, from.i);
      showTip(drawn.find(({ i }) => i === from.i));
    } else if (event.key === "+") zoomBy(2);
    else if (event.key === "-") zoomBy(0.5);
    else if (event.key === "0") zoomBy(0);
    else return;
    event.preventDefault();
  });
}

function zoomBy(factor) {
  const zoom = Math.max(1, Math.min(32, state.zoom * factor));
  const center = drawn.find(({ i }) => i === (state.focus ?? state.chosen));
  if (factor > 1 && state.zoom === 1 && center) {
    // towards what is looked at
    const { width, height } = layoutHere();
    Object.assign(state, { x: width / 2 - center.x, y: height / 2 - center.y });
  }
  Object.assign(state, zoom > 1 ? { zoom } : { zoom: 1, x: 0, y: 0 });
  showTip(null);
  redraw();
}

// The nearest point in a direction: along it counts once, across it twice.
function towards(from, [dx, dy]) {
  let best = null,
    least = Infinity;
  for (const point of drawn) {
    const along = (point.x - from.x) * dx + (point.y - from.y) * dy;
    const across = Math.abs((point.x - from.x) * dy) + Math.abs((point.y - from.y) * dx);
    if (point !== from && along > 0.5 && across <= 2 * along && along + 2 * across < least)
      [best, least] = [point, along + 2 * across];
  }
  return best;
}
