/** The rows of a list of files, or of folders to move something to. */

export const ROW = "#entries tbody tr, .folders li";

export const rows = () => [...document.querySelectorAll(ROW)];

/** @returns {HTMLElement | null} the row that something lies in */
export const rowOf = (element) => element?.closest?.(ROW) ?? null;

/** What opens a row. */
export const linkOf = (row) => row.querySelector("th > a");
export const boxOf = (row) => row.querySelector("[name=entry]");
export const shareOf = (row) => row.querySelector(".action [data-share]");

/** What opens a row's menu and, without a script, its details. */
export const actionsOf = (row) => row.querySelector(".actions");
export const idOf = (row) => actionsOf(row).pathname.split("/").at(-1);
export const isFolder = (row) => row.querySelector(".icon")?.classList.contains("folder");

export function nameOf(row) {
  const link = linkOf(row);
  return link.title || link.querySelector("bdi").textContent;
}

export const selectedRows = () => rows().filter((row) => boxOf(row)?.checked);

/** Select a row, or not any more, as a click on its box does. */
export function toggle(row, { shiftKey = false } = {}) {
  const click = { bubbles: true, cancelable: true, shiftKey };
  boxOf(row)?.dispatchEvent(new MouseEvent("click", click));
}
