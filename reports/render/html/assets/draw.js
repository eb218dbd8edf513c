/* The plots of a table are drawn once it comes into view, and again when rows or nodes are chosen. */
{
  const CHARTS = [
    ["throughput", "Throughput", throughput],
    ["efficiency", "Efficiency", efficiency],
    ["memory", "Memory: markers, peak; dashes, counted state", memory],
    ["steps", "Step times: medians and quartiles", stepTimes],
    ["loss-time", "Training perplexity over time", (view) => losses(view, "seconds")],
    ["loss-tokens", "Training perplexity over tokens", (view) => losses(view, "tokens")],
    ["breakdown", "Breakdown of a step", breakdown],
  ];
  const JOB_CHARTS = [
    ["bandwidth", "Bandwidth", () => ofJobs([["inside", "inside a node", "circle"], ["links", "between neighbours", "square"], ["between", "all-reduce over nodes", "diamond"]], "GB/s")],
    ["devices", "Matrix product of each device", () => ofJobs([["devices", "devices", "circle"]], "TFLOP/s")],
  ];
  /* The buttons are named one by one, because Plotly's own list has one that uploads the plot. */
  const BUTTONS = [["toImage"], ["zoom2d", "pan2d", "zoomIn2d", "zoomOut2d", "resetScale2d"]];
  const CONFIG = { responsive: true, displaylogo: false, modeBarButtons: BUTTONS, plotlyServerURL: "" };
  const views = new Map(); // what is drawn, by the element that has the plots

  const chartFigure = (parent, key, title, about) => {
    const plot = make("div", { class: "plot", role: "img", "aria-label": `${title} of ${about}; the tables have the figures` });
    const figure = make("figure", { "data-chart": key }, [make("figcaption", {}, [make("span", { text: title })]), plot]);
    if (key === "breakdown") figure.classList.add("wide");
    parent.append(figure);
    return figure;
  };
  const drawOne = (figure, { traces, layout }) => {
    figure.hidden = traces.length === 0;
    const plot = figure.querySelector(".plot");
    if (layout.height) plot.style.height = `${layout.height}px`;
    const isOfBars = layout.barmode !== undefined; // they have nothing to zoom into
    if (!figure.hidden) Plotly.react(plot, traces, layout, isOfBars ? { ...CONFIG, displayModeBar: false } : CONFIG);
  };

  const nodeChoice = (view, figure, redraw) => {
    const counts = Object.keys(view.table.losses?.by_nodes ?? {});
    if (counts.length < 2) return;
    const select = make("select", {}, counts.map((nodes) => make("option", { value: nodes, text: nodesText(Number(nodes)) })));
    select.value = view.lossNodes;
    select.addEventListener("change", () => { view.lossNodes = select.value; redraw(); });
    view.selects.push(select);
    figure.querySelector("figcaption").append(make("label", {}, ["on ", select]));
  };

  /** The swatch of a row: its line and marker, as Plotly draws them. */
  const swatch = (look) => {
    const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
    const draw = (name, attributes) => {
      const made = document.createElementNS("http://www.w3.org/2000/svg", name);
      for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
      svg.append(made);
      return made;
    };
    svg.setAttribute("viewBox", "0 0 34 14");
    svg.setAttribute("aria-hidden", "true");
    const dashes = look.dash === "solid" ? "none" : look.dash.replaceAll("px", "");
    draw("line", { x1: 0, x2: 34, y1: 7, y2: 7, stroke: look.colour, "stroke-width": 1.8, "stroke-dasharray": dashes });
    const isOpen = look.symbol.endsWith("-open");
    const shape = SHAPES[look.symbol.replace("-open", "")];
    draw("path", { d: shape, transform: "translate(17 7)", fill: isOpen ? "var(--paper)" : look.colour, stroke: look.colour, "stroke-width": 1.5 });
    if (look.text) draw("text", { x: 26, y: 6, "font-size": 8, fill: "currentColor" }).textContent = look.text;
    return svg;
  };

  const begin = (section) => {
    const table = report.tables[section.dataset.table];
    const view = { table, off: new Set(), lossNodes: table.losses?.shown, selects: [], figures: [] };
    const redraw = () => {
      view.rows = table.rows.map((_, place) => place).filter((place) => !view.off.has(place) && passes(table.rows[place].places));
      view.nodes = table.nodes.map((_, place) => place).filter((place) => passes(table.node_places[place]));
      view.shownNodes = view.nodes.map((place) => table.nodes[place]);
      for (const select of view.selects) select.value = view.lossNodes;
      for (const [figure, chart] of view.figures) {
        drawOne(figure, view.rows.length && view.nodes.length ? chart(view) : { traces: [], layout: {} });
      }
    };
    const parent = section.querySelector(".charts");
    for (const [key, title, chart] of CHARTS) {
      const figure = chartFigure(parent, key, title, table.title);
      if (key.startsWith("loss")) nodeChoice(view, figure, redraw);
      view.figures.push([figure, chart]);
    }
    redraw();
    const legend = section.querySelector(".legend");
    table.rows.forEach((row, place) => {
      const button = make("button", { type: "button", "aria-pressed": "true" }, [swatch(row.look), make("span", { text: row.label })]);
      button.addEventListener("click", () => {
        if (!view.off.delete(place)) view.off.add(place);
        button.setAttribute("aria-pressed", String(!view.off.has(place)));
        redraw();
      });
      legend.append(button);
    });
    if (parent.querySelector("figure:not([hidden])") === null) legend.hidden = true;
    views.set(section, redraw);
  };
  const beginJobs = (section) => {
    const parent = section.querySelector(".charts");
    for (const [key, title, chart] of JOB_CHARTS) drawOne(chartFigure(parent, key, title, "the preflights"), chart());
    views.set(section, () => {});
  };
  const draw = (section) => {
    if (views.has(section)) return;
    if (section.id === "preflights") beginJobs(section); else begin(section);
  };

  const sections = [...document.querySelectorAll("details.table, #preflights")];
  const observer = new IntersectionObserver((entries) => {
    for (const { isIntersecting, target } of entries) {
      if (isIntersecting) { observer.unobserve(target); draw(target.closest("details.table, #preflights")); }
    }
  }, { rootMargin: "400px" });
  for (const section of sections) observer.observe(section.querySelector(".charts"));
  filterListeners.push(() => views.forEach((redraw, section) => { if (!section.hidden) redraw(); }));

  const plots = () => [...document.querySelectorAll(".js-plotly-plot")].filter((plot) => plot.offsetParent);
  let opened = [];
  addEventListener("beforeprint", () => {
    opened = [...document.querySelectorAll(".failure details:not([open])")];
    for (const evidence of opened) evidence.open = true;
    for (const section of sections) if (!section.hidden && section.open !== false) draw(section);
    for (const plot of plots()) Plotly.relayout(plot, { width: plot.closest(".wide") ? 680 : 330 });
  });
  addEventListener("afterprint", () => {
    for (const evidence of opened) evidence.open = false;
    for (const plot of plots()) Plotly.relayout(plot, { width: null, autosize: true });
  });
}
