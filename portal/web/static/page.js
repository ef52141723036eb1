/** Small comforts of every page. What they improve works without them. */

import { gettext, locale, ngettext } from "./text.js";

const MOMENT = new Intl.DateTimeFormat(locale, { dateStyle: "medium", timeStyle: "short" });
const DAY = new Intl.DateTimeFormat(locale, { dateStyle: "medium" });

/** Tell the server the reader's zone: in forms and filters, a day is a day there. */
function tellZone() {
  const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
  const secure = location.protocol === "https:" ? "; secure" : "";
  if (zone) document.cookie = `zone=${zone}; path=/; max-age=31536000; samesite=lax${secure}`;
}

/** Show times in the page's language and the reader's zone, with the server's words as their title. */
function localTimes() {
  for (const time of document.querySelectorAll("time[datetime]:not([title])")) {
    time.title = time.textContent;
    const format = time.title.includes(":") ? MOMENT : DAY;
    time.textContent = format.format(new Date(time.dateTime));
  }
}

/** Copy a link, and say so. */
async function copy(button) {
  const link = document.getElementById(button.dataset.copy);
  const said = button.parentElement.querySelector("[role=status]");
  try {
    await navigator.clipboard.writeText(link.value);
    said.dataset.done = "copied";
    said.textContent = gettext("Copied.");
  } catch {
    link.select();
    said.textContent = gettext("It is selected: copy it with the keyboard.");
  }
}

/** Say how many items are selected, and disable the actions when there are none. */
function selection() {
  const group = document.querySelector("[data-selected]");
  if (!group) return;
  const count = document.querySelectorAll("[name=entry]:checked").length;
  group.querySelector("output").textContent = count
    ? ngettext("%(num)s selected", "%(num)s selected", count)
    : gettext("Nothing selected");
  for (const button of group.querySelectorAll("button")) button.disabled = count === 0;
}

/** With Shift, select or unselect all from the last box that was clicked to this one. */
let lastBox;
function selectRange(box, checked) {
  const boxes = [...document.querySelectorAll("[name=entry]")];
  const [from, to] = [boxes.indexOf(lastBox ?? box), boxes.indexOf(box)].sort((a, b) => a - b);
  for (const one of boxes.slice(Math.max(from, 0), to + 1)) one.checked = checked;
}

document.addEventListener("click", (event) => {
  if (event.target.dataset.copy) copy(event.target);
  if (event.target.name !== "entry") return;
  if (event.shiftKey) selectRange(event.target, event.target.checked);
  lastBox = event.target;
  selection();
});

function improve() {
  localTimes();
  selection();
}

document.addEventListener("change", selection);
document.addEventListener("portal:page", improve);
tellZone();
improve();
