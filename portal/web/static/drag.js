/** Rows that are dragged onto folders of the list, or of the path to it, move there; see tray.js for files. */

import { idOf, isFolder, nameOf, rowOf } from "./row.js";
import { moveTo, together } from "./row_actions.js";
import { ngettext } from "./text.js";

const KIND = "application/x-portal-entries";
let dragged = [];
let target;

/** Return the folder that an element stands for: what is shown as its place, and its id. */
export function folderAt(element) {
  const step = element.closest?.(".way [data-folder]");
  if (step) return { place: step, id: step.dataset.folder };
  const row = rowOf(element);
  if (!row?.matches("tr") || !isFolder(row) || dragged.includes(row)) return null;
  return { place: row, id: idOf(row) };
}

/** Show which folder gets what is dropped now, if any. */
export function aimAt(folder) {
  target?.classList.remove("target");
  target = folder?.place;
  target?.classList.add("target");
}

/** What moves with the pointer: how many, or the name of the one. */
function picture() {
  const count = dragged.length;
  const text = count === 1 ? nameOf(dragged[0]) : ngettext("%(num)s item", "%(num)s items", count);
  const made = Object.assign(document.createElement("div"), { className: "dragged", textContent: text });
  document.body.append(made);
  setTimeout(() => made.remove());
  return made;
}

// The cell of a name is dragged, not the others: their text can be selected.
document.addEventListener("pointerdown", (event) => {
  const cell = event.target.closest?.("#entries tbody th");
  if (cell) cell.draggable = event.pointerType === "mouse" && !cell.querySelector("form");
});

document.addEventListener("dragstart", (event) => {
  const row = rowOf(event.target);
  if (!row?.matches("tr") || !document.getElementById("row-menu")) return;
  dragged = together(row);
  event.dataTransfer.setData(KIND, dragged.map(idOf).join(" "));
  event.dataTransfer.effectAllowed = "copyMove";
  event.dataTransfer.setDragImage(picture(), -12, -8);
  for (const one of dragged) one.classList.add("moving");
});

document.addEventListener("dragover", (event) => {
  if (!dragged.length) return;
  const folder = folderAt(event.target);
  aimAt(folder);
  if (!folder) return;
  event.preventDefault();
  event.dataTransfer.dropEffect = "move";
});

document.addEventListener("drop", (event) => {
  const folder = dragged.length && folderAt(event.target);
  if (!folder) return;
  event.preventDefault();
  moveTo(dragged, folder.id);
});

document.addEventListener("dragend", () => {
  for (const one of dragged) one.classList.remove("moving");
  dragged = [];
  aimAt(null);
});
