/** Keys for rows and pages. They do nothing while somebody types, and none has a modifier of its own. */

import { kindOf, tellProblem } from "./in_place.js";
import { askForName } from "./new_folder.js";
import { closed, opened } from "./over.js";
import { rename } from "./rename.js";
import { actionsOf, boxOf, linkOf, rowOf, rows, selectedRows, shareOf, toggle } from "./row.js";
import { chooseTarget, open, selectAll, trash } from "./row_actions.js";
import { gettext } from "./text.js";

const FIELDS = "input:not([type=checkbox]), textarea, select, [contenteditable]";
const LETTERS = "letters";

const current = () => rowOf(document.activeElement);

/** The rows that a key is for: those that are selected, or else the one with the focus. */
function many() {
  const selected = selectedRows();
  return selected.length ? selected : [current()].filter(Boolean);
}

/** Do something with the row that a key is for; of several, say that it is for one. */
function withSingle(act) {
  const [row, ...others] = many();
  if (others.length) tellProblem(gettext("This is for one item at a time: select only one."));
  else if (row) act(row);
}

/** How many rows lie beside one another: several in a grid. */
function columns(all) {
  const top = all[0].getBoundingClientRect().top;
  const next = all.findIndex((row) => row.getBoundingClientRect().top > top + 1);
  return next === -1 ? all.length : next;
}

/** Focus what the focus is on, in a row above or below. */
function step(by, event) {
  const [all, row] = [rows(), current()];
  const next = row ? all[all.indexOf(row) + by] : all[0];
  if (!next) return;
  const kind = row && row.contains(document.activeElement) ? kindOf(document.activeElement) : "th > a";
  if (event.shiftKey && boxOf(next)) {
    if (!boxOf(row ?? next).checked) toggle(row ?? next);
    if (!boxOf(next).checked) toggle(next);
  }
  (next.querySelector(kind) ?? next.querySelector("th > a, button")).focus();
}

const isGrid = () => document.querySelector("#entries[data-view=grid]");
const vertical = (sign) => (event) => step(sign * (isGrid() ? columns(rows()) : 1), event);
const sideways = (sign) => (event) => isGrid() && current() && step(sign, event);

function showKeys() {
  let dialog = document.getElementById("keys");
  if (!dialog) {
    const template = document.getElementById("row-menu");
    dialog = template.content.querySelector("dialog").cloneNode(true);
    template.after(dialog);
    dialog.addEventListener("close", closed);
    const box = dialog.querySelector("input");
    box.checked = hasLetters();
    box.addEventListener("change", () => {
      if (box.checked) localStorage.removeItem(LETTERS);
      else localStorage.setItem(LETTERS, "off");
    });
  }
  dialog.showModal();
  opened(() => dialog.close());
}

const hasLetters = () => localStorage.getItem(LETTERS) !== "off";
const press = (selector) => document.querySelector(selector)?.click();

/** What each key does, where there is a list; one that returns false leaves it to the browser. */
const KEYS = {
  ArrowDown: vertical(1),
  ArrowUp: vertical(-1),
  ArrowRight: sideways(1),
  ArrowLeft: sideways(-1),
  j: (event) => step(1, event),
  k: (event) => step(-1, event),
  Enter: () => (document.activeElement.name === "entry" ? open(current()) : false),
  " ": () => (document.activeElement === (current() && linkOf(current())) ? toggle(current()) : false),
  x: () => current() && toggle(current()),
  s: () => withSingle((row) => shareOf(row).click()),
  d: () => withSingle((row) => location.assign(actionsOf(row).href)),
  m: () => many().length && chooseTarget(many()),
  F2: () => withSingle(rename),
  Delete: () => many().length && trash(many()),
  Escape: () => (selectedRows().length ? selectAll(false) : false),
  u: () => press("#upload button.main"),
  n: askForName,
  v: () => press(".views [aria-pressed=false]"),
  "?": showKeys,
};

/** Where folders to move to are listed: the one that begins with a letter. */
function toLetter(letter) {
  const all = rows();
  const at = all.indexOf(current());
  const isIt = (row) => row.querySelector("bdi").textContent.toLowerCase().startsWith(letter);
  [...all.slice(at + 1), ...all].find(isIt)?.querySelector("button")?.focus();
}

function isBusy(event) {
  return (
    event.defaultPrevented ||
    event.isComposing ||
    event.target.matches?.(FIELDS) ||
    document.querySelector("dialog[open], :popover-open")
  );
}

document.addEventListener("keydown", (event) => {
  if (isBusy(event)) return;
  const { key } = event;
  if (key === "a" && (event.ctrlKey || event.metaKey) && document.querySelector(".list [name=entry]")) {
    event.preventDefault();
    selectAll();
  }
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (key.length === 1 && key !== " " && !hasLetters()) return;
  if (key === "/" && document.getElementById("q")) {
    event.preventDefault();
    document.getElementById("q").select();
    document.getElementById("q").focus();
  } else if (document.querySelector("ul.folders")) {
    if (key === "ArrowDown" || key === "ArrowUp") KEYS[key](event);
    else if (key.length === 1 && key !== " ") toLetter(key.toLowerCase());
  } else if (Object.hasOwn(KEYS, key) && document.getElementById("row-menu")) {
    if (event.shiftKey && !key.startsWith("Arrow") && key !== "?") return;
    if (KEYS[key](event) !== false) event.preventDefault();
  }
});

document.addEventListener("click", (event) => {
  if (event.target.closest?.("[data-keys]")) showKeys();
});
