// What a chart draws in numbers: as a table, and as a CSV file.

/** Columns have a head, values, and `write(value, index)`; `raw(value)` where a program reads another
 *  text than a person. */
export function tableOf(columns) {
  const table = document.createElement("table");
  const head = table.createTHead().insertRow();
  for (const column of columns) {
    const cell = document.createElement("th");
    cell.scope = "col";
    cell.textContent = column.head;
    head.append(cell);
  }
  const body = table.createTBody();
  columns[0].values.forEach((_, index) => {
    const row = body.insertRow();
    for (const { values, write } of columns) row.insertCell().textContent = write(values[index], index);
  });
  return table;
}

function field(value) {
  const text = value === null || value === undefined ? "" : String(value);
  return /[",\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

export function csvOf(columns) {
  const lines = [columns.map(({ head }) => head)];
  columns[0].values.forEach((_, index) => {
    lines.push(columns.map(({ values, raw }) => (raw ? raw(values[index], index) : values[index])));
  });
  return lines.map((line) => `${line.map(field).join(",")}\n`).join("");
}

/** Save what the columns hold now when the figure's button is pressed. */
export function offerCsv(figure, name, columns) {
  figure.querySelector(".csv").addEventListener("click", () => {
    const found = columns();
    if (!found.length) return;
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([csvOf(found)], { type: "text/csv" }));
    link.download = `${name}.csv`;
    link.click();
    URL.revokeObjectURL(link.href);
  });
}

/** The figure's table: of the moment when it is opened, so that it doesn't change while it is read. */
export function offerTable(figure, columns) {
  const details = figure.querySelector(".numbers");
  details.addEventListener("toggle", () => {
    const found = details.open ? columns() : [];
    details.querySelector(".scroll").replaceChildren(...(found.length ? [tableOf(found)] : []));
  });
}
