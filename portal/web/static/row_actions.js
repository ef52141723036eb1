/** What can be done with rows. */

import { postAndTell } from "./in_place.js";
import { boxOf, idOf, linkOf, rows, selectedRows } from "./row.js";

const settings = () => document.getElementById("row-menu").dataset;
const entries = (some) => some.map((row) => ["entry", idOf(row)]);

/** What is on its way to somewhere else: whoever presses a key twice wants it once. */
const going = new Set();

async function send(action, some, fields) {
  const rest = some.filter((row) => !going.has(idOf(row)));
  if (!rest.length) return;
  const ids = rest.map(idOf);
  for (const id of ids) going.add(id);
  await postAndTell(action, [...fields, ...entries(rest)]);
  for (const id of ids) going.delete(id);
}

export const trash = (some) => send(settings().trash, some, []);

/** Move rows into a folder, by its name in URLs. */
export const moveTo = (some, folder) => send(settings().move, some, [["folder", folder]]);

/** Return where a row is renamed. */
export const renameAddress = (row) => settings().rename.replace("ENTRY", idOf(row));

/** What is dragged with a row: all that are selected, if it is one of them. */
export function together(row) {
  const selected = selectedRows();
  return selected.includes(row) ? selected : [row];
}

/** Go to where rows can be moved to. */
export function chooseTarget(some) {
  const menu = document.getElementById("row-menu").content.querySelector("[data-does=move]");
  const address = new URL(menu.href, location.href);
  address.searchParams.delete("entry");
  for (const row of some) address.searchParams.append("entry", idOf(row));
  location.assign(address);
}

export function selectAll(isSelected = true) {
  for (const row of rows()) boxOf(row).checked = isSelected;
  document.dispatchEvent(new Event("change"));
}

export const open = (row) => linkOf(row).click();
