/** Lists of files: a click anywhere on a row opens it, and one with Ctrl or Shift selects it. */

import "./drag.js";
import "./keys.js";
import "./row_menu.js";
import { boxOf, rowOf, toggle } from "./row.js";
import { open } from "./row_actions.js";

const OWN = "a, button, input, label, .rename, audio, video";
const extends_ = (event) => event.ctrlKey || event.metaKey || event.shiftKey;

/** Return the row that a click is on, if it is not on something that a click is for. */
function clicked(event) {
  const row = rowOf(event.target);
  if (!row?.matches("tr") || event.defaultPrevented) return null;
  const own = event.target.closest(OWN);
  return !own || (own.matches("th > a") && extends_(event) && boxOf(row)) ? row : null;
}

// With Shift, the browser would select the text in between.
document.addEventListener("mousedown", (event) => {
  const row = rowOf(event.target);
  if (event.shiftKey && row && boxOf(row)) event.preventDefault();
});

document.addEventListener("click", (event) => {
  const row = clicked(event);
  if (!row) return;
  if (extends_(event)) {
    event.preventDefault();
    toggle(row, event);
  } else if (getSelection().isCollapsed) {
    open(row);
  }
});

/** Show lists in another way at once, and remember it as the server does. */
function setView(form, button) {
  const secure = location.protocol === "https:" ? "; secure" : "";
  document.cookie = `view=${button.value}; path=/; max-age=31536000; samesite=lax${secure}`;
  for (const one of form.querySelectorAll("button")) one.ariaPressed = String(one === button);
  document.getElementById("entries").dataset.view = button.value;
  // A phone shows the other one only.
  if (!button.checkVisibility()) form.querySelector("[aria-pressed=false]").focus();
}

document.addEventListener("submit", (event) => {
  if (!event.target.matches("form.views")) return;
  event.preventDefault();
  setView(event.target, event.submitter);
});

document.addEventListener("click", (event) => {
  // What opens a dialog of the browser's leaves the menu.
  if (event.target.matches?.("#more [data-opens]")) document.getElementById("more").hidePopover?.();
});
