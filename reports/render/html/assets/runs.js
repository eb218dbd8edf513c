/* The list of all runs: filtered, searched, sorted, and a page of it at a time. */
{
  const PAGE = 100;
  const { columns, titles, rows, places } = report.runs;
  const axes = report.axes;
  let order = rows.map((_, place) => place);
  let first = 0;

  const search = make("input", { type: "search", "aria-label": "Search the runs", placeholder: "Search" });
  const before = make("button", { type: "button", text: "Previous" });
  const after = make("button", { type: "button", text: "Next" });
  const where = make("output", { "aria-live": "polite" });
  const body = make("tbody");
  const heads = columns.map((name, place) => {
    const button = make("button", { type: "button", text: titles[place] });
    const head = make("th", { scope: "col", class: name }, [button]);
    if (document.getElementById(`column-${name}`)) head.append(make("a", { class: "term", href: `#column-${name}`, text: "?", "aria-label": `definition of ${titles[place]}` }));
    button.addEventListener("click", () => {
      const sign = turnedSort(head);
      order.sort((one, other) => inOrder(rows[one][place], rows[other][place], sign));
      first = 0;
      show();
    });
    return head;
  });

  const cellOf = (value, place) => {
    const name = columns[place];
    const cell = contentOf(value, name);
    cell.classList.add(name);
    return cell;
  };
  const contentOf = (value, name) => {
    if (name === "outcome") return make("td", {}, [make("a", { class: "term", href: `#outcome-${value}`, text: value })]);
    if (name === "cautions" && value) {
      const terms = value.split(", ").map((caution) => make("a", { class: "term", href: `#caution-${caution}`, text: caution }));
      return make("td", {}, terms.flatMap((term, number) => (number ? [", ", term] : [term])));
    }
    if (typeof value === "number") return make("td", { class: "number", text: value.toLocaleString("en", { maximumSignificantDigits: 5 }) });
    return make("td", { text: value ?? "" });
  };
  const isShown = (run) => {
    if (axes.some((axis, place) => hiddenPlaces[axis]?.has(places[run][place]))) return false;
    const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    const text = words.length ? rows[run].join(" ").toLowerCase() : "";
    return words.every((word) => text.includes(word));
  };
  const show = () => {
    const found = order.filter(isShown);
    first = Math.min(first, Math.max(0, Math.floor((found.length - 1) / PAGE) * PAGE));
    const page = found.slice(first, first + PAGE);
    body.replaceChildren(...page.map((run) => make("tr", {}, rows[run].map(cellOf))));
    const range = page.length ? `${first + 1} to ${first + page.length} of ${found.length}` : "none";
    where.value = found.length === rows.length ? range : `${range} (${rows.length} in all)`;
    before.disabled = first === 0;
    after.disabled = first + PAGE >= found.length;
  };
  search.addEventListener("input", () => { first = 0; show(); });
  before.addEventListener("click", () => { first -= PAGE; show(); });
  after.addEventListener("click", () => { first += PAGE; show(); });
  filterListeners.push(show);
  const table = make("table", { class: "runs" }, [make("thead", {}, [make("tr", {}, heads)]), body]);
  document.getElementById("runs").append(
    make("div", { class: "controls" }, [search, before, after, where]), make("div", { class: "scroll" }, [table]));
  show();
}
