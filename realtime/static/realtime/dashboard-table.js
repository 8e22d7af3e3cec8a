/**
 * @template T
 * @typedef {{text: (row: T) => string, isNumber?: boolean, isHeader?: boolean, title?: (row: T) => string}} Column
 */

/**
 * Makes `body` show `rows`. Rows that stay keep their elements, so that a selection or the focus is not lost,
 * and only cells that changed are written.
 *
 * @template T
 * @param {HTMLTableSectionElement} body
 * @param {T[]} rows
 * @param {Column<T>[]} columns
 * @param {(row: T) => string} keyOf
 * @param {(row: T) => string} [classOf]
 */
export function fillTable(body, rows, columns, keyOf, classOf) {
  const before = new Map([...body.rows].map((element) => [element.dataset.key, element]));
  rows.forEach((row, index) => {
    const key = keyOf(row);
    const element = before.get(key) ?? newRow(key, columns);
    before.delete(key);
    if (body.rows[index] !== element) body.insertBefore(element, body.rows[index] ?? null);
    setClass(element, classOf?.(row) ?? "");
    columns.forEach((column, at) => fillCell(element.cells[at], row, column));
  });
  for (const gone of before.values()) gone.remove();
}

/**
 * Write `text` if it differs. An unchanged element is neither painted nor announced again.
 * @param {Element} element
 * @param {string} text
 */
export function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/**
 * @template T
 * @param {HTMLTableCellElement} cell
 * @param {T} row
 * @param {Column<T>} column
 */
function fillCell(cell, row, column) {
  const text = column.text(row);
  setText(cell, text);
  if (column.title) cell.title = column.title(row);
  cell.classList.toggle("zero", column.isNumber === true && text === "0");
}

/**
 * @template T
 * @param {string} key
 * @param {Column<T>[]} columns
 */
function newRow(key, columns) {
  const row = document.createElement("tr");
  row.dataset.key = key;
  for (const column of columns) {
    const cell = document.createElement(column.isHeader ? "th" : "td");
    if (column.isHeader) cell.scope = "row";
    if (column.isNumber) cell.className = "number";
    row.append(cell);
  }
  return row;
}

/**
 * @param {Element} element
 * @param {string} name
 */
function setClass(element, name) {
  if (element.className !== name) element.className = name;
}
