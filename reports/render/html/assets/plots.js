/* What each plot shows: functions that return the traces and the layout of a table's rows and nodes. */

/** Text without what Plotly takes for markup. */
const plain = (text) => String(text).replaceAll("&", "&amp;").replaceAll("<", "&lt;");
/** Such a text in lines of at most so many letters: a long title of an axis would leave the plot. */
function inLines(text, most) {
  const lines = [""];
  for (const word of text.split(" ")) {
    const longer = `${lines.at(-1)} ${word}`.trim();
    if (longer.length <= most || !lines.at(-1)) lines[lines.length - 1] = longer;
    else lines.push(word);
  }
  return lines.map(plain).join("<br>");
}
const nodesText = (nodes) => `${nodes} node${nodes === 1 ? "" : "s"}`;

const FARTHEST = 2; // factor between a value and the end of its bar beyond which the bar is cut, as in the pictures
const REFERENCE = { color: "#8a8f98", dash: "dash", width: 1.5 };
const HOVER = { bgcolor: "#2b313a", bordercolor: "#2b313a", font: { color: "#ffffff" } };
const LEGEND = { orientation: "h", x: 0, y: 1.01, yanchor: "bottom", traceorder: "normal" };
const PATTERNS = ["", "", "", "/", "x", ""]; // of the parts of a step, as in the pictures
const PART_COLOURS = ["#0072B2", "#E69F00", "#009E73", "#CC79A7", "#D55E00", "#9aa0a6"];

/** Outlines of Plotly's symbols, for the legend. */
const SHAPES = {
  "circle": "M-4.5,0a4.5,4.5 0 1,0 9,0a4.5,4.5 0 1,0 -9,0Z",
  "square": "M-4,-4H4V4H-4Z",
  "diamond": "M0,-5.5L5.5,0L0,5.5L-5.5,0Z",
  "triangle-up": "M0,-5L5,4H-5Z",
  "triangle-down": "M0,5L5,-4H-5Z",
  "triangle-left": "M-5,0L4,-5V5Z",
  "triangle-right": "M5,0L-4,-5V5Z",
  "cross": "M-1.8,-5H1.8V-1.8H5V1.8H1.8V5H-1.8V1.8H-5V-1.8H-1.8Z",
  "x": "M0,-2.5L2.5,-5L5,-2.5L2.5,0L5,2.5L2.5,5L0,2.5L-2.5,5L-5,2.5L-2.5,0L-5,-2.5L-2.5,-5Z",
  "star": "M0,-5.5L1.3,-1.8H5.2L2.1,0.6L3.2,4.4L0,2.2L-3.2,4.4L-2.1,0.6L-5.2,-1.8H-1.3Z",
  "pentagon": "M0,-5L4.8,-1.5L2.9,4H-2.9L-4.8,-1.5Z",
  "hexagon": "M0,-5L4.3,-2.5V2.5L0,5L-4.3,2.5V-2.5Z",
};

function layoutOf(x, y, more = {}) {
  const axis = { automargin: true, zeroline: false, showline: true, linecolor: "#8a8f98", gridcolor: "#d4d9df" };
  return {
    margin: { l: 48, r: 12, t: 30, b: 40 }, paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)",
    showlegend: false, hovermode: "closest", hoverlabel: HOVER, font: { size: 12 },
    xaxis: { ...axis, ...x }, yaxis: { ...axis, ...y }, ...more,
  };
}

/** An axis of doublings with a tick for each node count, wide enough for points that are dodged. */
function nodesAxis(nodes) {
  const range = [Math.log10(nodes[0] / 1.3), Math.log10(nodes.at(-1) * 1.3)];
  return { type: "log", range, tickvals: nodes, ticktext: nodes.map(String), title: { text: "nodes" } };
}

/** Where row `place` of `places` has its points: beside each other, in the middle the node count itself. */
function dodged(count, place, places, nodes) {
  const gaps = nodes.slice(1).map((later, index) => Math.log2(later / nodes[index]));
  const step = Math.min(0.09, Math.min(0.4, Math.min(1, ...gaps) / 2) / Math.max(1, places - 1));
  return count * 2 ** (step * (place - (places - 1) / 2));
}

function lineOf(row, { text } = row.look) {
  return {
    mode: text ? "lines+markers+text" : "lines+markers", textposition: "top center",
    line: { color: row.look.colour, dash: row.look.dash, width: 1.8 },
    marker: { color: row.look.colour, symbol: row.look.symbol, size: 8 }, hoverinfo: "text", name: plain(row.label),
  };
}

/** Traces for each row of what `point` has of its cells: [value, low, high, text] or null; `factor` scales values. */
function pointTraces(view, point, factor = 1, change = {}) {
  const traces = [];
  view.rows.forEach((index, place) => {
    const row = view.table.rows[index];
    const found = view.nodes.map((node) => [view.table.nodes[node], point(index, node)]).filter(([, cell]) => cell?.[0] != null);
    if (!found.length) return;
    const line = lineOf(row);
    const x = found.map(([nodes]) => dodged(nodes, place, view.rows.length, view.shownNodes));
    const bars = found.map(([, [value, low, high]]) => [Math.max(Math.min(low, value), value / FARTHEST), Math.min(Math.max(high, value), value * FARTHEST)]);
    traces.push({
      ...line, ...change, marker: { ...line.marker, ...change.marker },
      x,
      y: found.map(([, cell]) => cell[0] * factor),
      text: found.map(() => row.look.text),
      hovertext: found.map(([nodes, cell]) => plain(`${row.label}, ${nodesText(nodes)}: ${cell[3]}`)),
      error_y: {
        visible: found.some(([, cell]) => cell[1] !== cell[2]),
        type: "data", symmetric: false, thickness: 1.3, width: 4, color: row.look.colour,
        array: found.map(([, [value]], index) => (bars[index][1] - value) * factor),
        arrayminus: found.map(([, [value]], index) => (value - bars[index][0]) * factor),
      },
    });
    for (const [side, symbol] of [[0, "arrow-down"], [1, "arrow-up"]]) {
      const cut = bars.map((_, index) => index).filter((index) => found[index][1][0] * FARTHEST ** (2 * side - 1) === bars[index][side]);
      if (!cut.length) continue;
      traces.push({
        x: cut.map((index) => x[index]), y: cut.map((index) => bars[index][side] * factor), mode: "markers",
        marker: { symbol, size: 8, color: row.look.colour }, hoverinfo: "text", hovertext: cut.map(() => "the bar goes on, as the table says"),
      });
    }
  });
  return traces;
}

/** Lowest and highest value of traces, the ends of their error bars included. */
function reach(traces) {
  const ends = (sign, side) => traces.flatMap(({ y, error_y }) => y.map((value, place) => value + sign * (error_y?.[side][place] ?? 0)));
  return [Math.min(...ends(-1, "arrayminus")), Math.max(...ends(1, "array"))];
}

/** A linear axis that begins at 0 and has room for all bars. */
function fromZero(traces, more) {
  const [low, high] = traces.length ? reach(traces) : [0, 1];
  return { range: [Math.min(0, low), 1.06 * high || 1], ...more };
}

/** A logarithmic axis with room for all bars: a tick for each doubling, where there are several. */
function doublings(traces) {
  const [low, high] = traces.length ? reach(traces) : [1, 2];
  const axis = { type: "log", range: [Math.log10(low / 1.15), Math.log10(high * 1.15)], title: { text: "tokens/s" } };
  if (high / low < 4) return { ...axis, nticks: 6 };
  const power = 10 ** Math.floor(Math.log10(low));
  const first = power * [8, 6, 5, 4, 3, 2.5, 2, 1.5, 1.25, 1].find((step) => power * step <= low);
  const every = Math.ceil(Math.log2(high / first) / 8);
  const tickvals = Array.from({ length: 25 }, (_, place) => first * 2 ** (every * (place - 8)));
  const ticktext = tickvals.map((value) => value.toLocaleString("en", { maximumSignificantDigits: 4 }));
  return { ...axis, tickvals, ticktext };
}

const cellsOf = (view, metric) => (row, node) => view.table.metrics[metric]?.[row][node];

function throughput(view) {
  const traces = pointTraces(view, cellsOf(view, "tokens_per_s"));
  if (traces.length && view.table.ideal) {
    const y = view.nodes.map((node) => view.table.ideal[node]);
    const name = plain(`ideal from ${view.table.reference}`);
    traces.unshift({ x: view.shownNodes, y, name, mode: "lines", line: REFERENCE, hoverinfo: "name" });
  }
  return { traces, layout: layoutOf(nodesAxis(view.shownNodes), doublings(traces)) };
}

function efficiency(view) {
  const traces = pointTraces(view, cellsOf(view, "efficiency"));
  if (traces.length) {
    const x = [view.shownNodes[0] / 1.3, view.shownNodes.at(-1) * 1.3];
    traces.unshift({ x, y: [1, 1], mode: "lines", line: REFERENCE, hoverinfo: "skip" });
  }
  const title = { text: inLines(`vs ${view.table.reference}`, 28) };
  return { traces, layout: layoutOf(nodesAxis(view.shownNodes), fromZero(traces, { tickformat: ".0%", title })) };
}

function memory(view) {
  const peaks = view.table.metrics.peak_memory_gib?.flat().map((cell) => cell?.[0] ?? 0) ?? [];
  const [factor, unit] = Math.max(0, ...peaks) >= 1 ? [1, "GiB"] : [1024, "MiB"];
  const traces = pointTraces(view, cellsOf(view, "peak_memory_gib"), factor);
  if (traces.length) {
    const states = pointTraces(view, cellsOf(view, "state_gib"), factor, { mode: "markers" });
    for (const trace of states) {
      trace.marker = { ...trace.marker, symbol: "line-ew-open", size: 12, line: { width: 2.5 } };  // no row has it
      trace.hovertext = trace.hovertext.map((text) => `counted state of ${text}`);
    }
    traces.push(...states);
  }
  return { traces, layout: layoutOf(nodesAxis(view.shownNodes), fromZero(traces, { title: { text: `${unit} of a rank` } })) };
}

function stepTimes(view) {
  const point = (row, node) => {
    const found = view.table.steps[row][node];
    return found && [found[1], found[0], found[2], found[3]];
  };
  const traces = pointTraces(view, point, 1, { mode: "markers" });
  return { traces, layout: layoutOf(nodesAxis(view.shownNodes), fromZero(traces, { title: { text: "ms per step" } })) };
}

function seconds(longest) {
  return [[7200, 3600, "h"], [120, 60, "min"], [0, 1, "s"]].find(([least]) => longest >= least).slice(1);
}

/** Perplexity along `along` (seconds or tokens) on the node count that is chosen: means, and the range of the repeats. */
function losses(view, along) {
  const found = view.table.losses;
  const lines = (found?.by_nodes[view.lossNodes] ?? []).filter((line) => view.rows.includes(line.row));
  const [unit, name] = along === "seconds" ? seconds(Math.max(0, ...lines.map((line) => line.seconds.at(-1)))) : [1, ""];
  const traces = [];
  for (const line of lines) {
    const row = view.table.rows[line.row];
    const x = line[along].map((value) => value / unit);
    const look = lineOf(row);
    const band = { x, mode: "lines", line: { width: 0 }, hoverinfo: "skip" };
    const mean = line.mean.map(Math.exp);
    if (line.low) traces.push({ ...band, y: line.low.map(Math.exp) }, { ...band, y: line.high.map(Math.exp), fill: "tonexty", fillcolor: `${row.look.colour}2e` });
    const every = Math.max(1, Math.floor(x.length / 8));
    traces.push({
      ...look, x, y: mean, customdata: line.mean, mode: "lines", hoverinfo: undefined,
      hovertemplate: `${plain(row.label)}: %{y:.4g} (%{customdata:.4f} nats/token)<extra></extra>`,
    });
    const marked = x.map((_, place) => place).filter((place) => place % every === line.row % every);
    traces.push({
      ...look, mode: look.mode.replace("lines+", ""), hoverinfo: "skip",
      x: marked.map((place) => x[place]), y: marked.map((place) => mean[place]), text: marked.map(() => row.look.text),
    });
    if (line.validations) {
      traces.push({
        x: line.validations.map((each) => each[along === "seconds" ? 0 : 1] / unit),
        y: line.validations.map((each) => Math.exp(each[2])), customdata: line.validations.map((each) => each[2]),
        mode: "markers", marker: { ...look.marker, symbol: look.marker.symbol.replace("-open", "") + "-open", size: 12 },
        hovertemplate: `validation of ${plain(row.label)}: %{y:.4g} (%{customdata:.4f} nats/token)<extra></extra>`,
      });
    }
  }
  const ends = lines.flatMap((line) => line.mean);
  const [low, high] = [Math.min(...ends), Math.max(...ends)];
  const floors = lines.length ? found.floors.filter((floor) => low - floor <= high - low) : [];
  const layout = layoutOf(
    { title: { text: along === "seconds" ? `wall time from the first step (${name})` : "trained tokens" } },
    { title: { text: "perplexity" }, type: "log" },
    {
      shapes: floors.map((floor) => ({ type: "line", xref: "paper", x0: 0, x1: 1, y0: Math.exp(floor), y1: Math.exp(floor), line: REFERENCE })),
      annotations: floors.map((floor) => ({
        xref: "paper", x: 1, xanchor: "right", y: floor * Math.LOG10E, yanchor: "bottom", showarrow: false, font: { size: 10 },
        text: "entropy rate of the data",
      })),
    },
  );
  return { traces, layout };
}

function breakdown(view) {
  const cells = (view.table.breakdown?.cells ?? [])
    .filter((cell) => view.rows.includes(cell.row) && view.shownNodes.includes(cell.nodes))
    .sort((one, other) => one.nodes - other.nodes);
  const names = cells.map((cell) => plain(`${view.table.rows[cell.row].label}, ${nodesText(cell.nodes)}`));
  const traces = cells.length ? view.table.breakdown.parts.map((part, place) => ({
    type: "bar", orientation: "h", name: part, y: names, x: cells.map((cell) => cell.parts[place]),
    marker: { color: PART_COLOURS[place], pattern: { shape: PATTERNS[place], fillmode: "overlay", fgcolor: "#ffffff", solidity: 0.2 } },
    customdata: cells.map((cell) => cell.texts[place]), hovertemplate: `%{y}: ${part} %{customdata}<extra></extra>`,
  })) : [];
  const layout = layoutOf({ title: { text: "ms per step, mean over ranks" } }, { autorange: "reversed", type: "category", showgrid: false }, {
    barmode: "stack", showlegend: true, legend: LEGEND, height: 120 + 26 * cells.length,
  });
  return { traces, layout };
}

/** Points of each job's preflight, under each other: one trace for each of `kinds` (key, name, symbol). */
function ofJobs(kinds, title) {
  const traces = kinds.map(([key, name, symbol], place) => {
    const found = report.preflights.flatMap((job) => job[key].map(([what, value]) => [`job ${job.job}`, what, value]));
    return {
      name, x: found.map(([job]) => job), y: found.map(([, , value]) => value), mode: "markers", hoverinfo: "text",
      hovertext: found.map(([job, what, value]) => plain(`${job}, ${what}: ${value} ${title}`)),
      marker: { symbol, size: 9, color: PART_COLOURS[place], opacity: 0.75 },
    };
  }).filter((trace) => trace.x.length);
  const layout = layoutOf({ type: "category" }, { rangemode: "tozero", title: { text: title } }, {
    showlegend: traces.length > 1, legend: LEGEND,
  });
  return { traces, layout };
}
