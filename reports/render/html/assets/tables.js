/* Scaling tables: sorted by a column within each metric. */
{
  const valueOf = (cell) => {
    if (cell.tagName === "TH") return cell.textContent;
    return cell.dataset.value === undefined ? null : Number(cell.dataset.value);
  };
  for (const table of document.querySelectorAll("table.figures")) {
    for (const head of table.tHead.rows[0].cells) {
      head.querySelector("button").addEventListener("click", () => {
        const sign = turnedSort(head);
        for (const body of table.tBodies) {
          const rows = [...body.querySelectorAll("tr[data-row]")];
          rows.sort((one, other) =>
            inOrder(valueOf(one.cells[head.cellIndex]), valueOf(other.cells[head.cellIndex]), sign));
          body.append(...rows);
        }
      });
    }
  }
  for (const box of document.querySelectorAll(".all-metrics")) {
    const table = box.closest("details").querySelector("table.figures");
    box.addEventListener("change", () => table.classList.toggle("all", box.checked));
  }
}
