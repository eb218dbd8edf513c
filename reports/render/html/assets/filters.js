/* The filters over axes: what they hide of tables and failures; plots and the list of runs listen for themselves. */
{
  const form = document.getElementById("filters");
  const tables = [...document.querySelectorAll("details.table")];

  const filterTable = (section) => {
    const table = report.tables[section.dataset.table];
    const isShown = passes(table.places);
    section.hidden = !isShown;
    for (const row of section.querySelectorAll("tr[data-row]")) row.hidden = !passes(table.rows[row.dataset.row].places);
    for (const cell of section.querySelectorAll("[data-node]")) cell.hidden = !passes(table.node_places[cell.dataset.node]);
    return isShown;
  };
  const filterFailures = () => {
    for (const failure of document.querySelectorAll(".failure")) {
      const runs = [...failure.querySelectorAll("li[data-places]")];
      for (const run of runs) run.hidden = !passes(JSON.parse(run.dataset.places));
      failure.hidden = runs.length > 0 && runs.every((run) => run.hidden);
    }
  };
  const apply = () => {
    for (const fieldset of form.querySelectorAll("fieldset")) {
      const without = [...fieldset.querySelectorAll("input:not(:checked)")];
      hiddenPlaces[fieldset.dataset.axis] = new Set(without.map((input) => Number(input.dataset.place)));
    }
    const shown = tables.filter(filterTable).length;
    filterFailures();
    for (const listener of filterListeners) listener();
    document.getElementById("count").value = `${shown} of ${tables.length} tables`;
  };
  if (form) {
    form.hidden = false;
    form.addEventListener("change", apply);
    form.addEventListener("submit", (event) => event.preventDefault());
    form.addEventListener("reset", () => setTimeout(apply)); // the boxes are set after the event
  }
}
