// What happens when the page is opened, and when it is printed.

// On paper every column gets its map.
addEventListener("beforeprint", () => {
  find("#printed").replaceChildren(
    ...page.columns
      .filter((column) => column.layouts.wide.points.length)
      .map((column) => {
        const svg = s("svg"),
          wide = column.layouts.wide.points.length > 40;
        drawMap(svg, column, column.layouts[wide ? "wide" : "narrow"]);
        const colours = column.shades
          ? `; colour: mean ${targetName()} from ${number(page.scale.low)} to ${number(page.scale.high)}, blue below the mean of all, orange above`
          : "";
        return h(
          "figure",
          { class: wide ? "wide" : null },
          h("h3", {}, h("bdi", {}, column.name)),
          svg,
          note(`${column.how}; area: training rows${colours}. ${column.warning || ""}`),
        );
      }),
  );
});

showHeader();
showVerdict();
showTrust();
showImportance();
showEffects();
startMaps();
startSearch();
showErrors();
showNext();
showTrainedOn();
