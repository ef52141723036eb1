/** A new folder, created without leaving the page: the focus goes on to its row. */

import { fieldsOf, focusNew, post, tellProblem } from "./in_place.js";
import { idOf, rows } from "./row.js";

const details = () => document.querySelector(".tools details");
const more = () => document.getElementById("more");

/** Open the form, wherever it is. */
export function askForName() {
  if (more()?.matches("[popover]") && getComputedStyle(more()).display === "none") more().showPopover();
  details().open = true;
  document.getElementById("name").focus();
}

document.addEventListener("submit", async (event) => {
  const form = event.target;
  if (!details()?.contains(form)) return;
  event.preventDefault();
  if (form.ariaBusy) return; // whoever presses twice wants one folder
  form.ariaBusy = "true";
  const before = ["", ...rows().map(idOf)];
  const problem = await post(form.action, fieldsOf(form));
  form.ariaBusy = null;
  if (problem) return tellProblem(problem);
  form.reset();
  details().open = false;
  if (more()?.matches(":popover-open")) more().hidePopover();
  document.activeElement.blur(); // it is in what is hidden
  focusNew(before);
});
