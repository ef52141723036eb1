/**
 * Forms that are sent without leaving the page: the server answers with the page as it is then, of
 * which the list is shown, and what it says.
 */

import { replaceParts, signedIn } from "./parts.js";
import { idOf, linkOf, rowOf, rows } from "./row.js";
import { gettext } from "./text.js";

const CHANGING = ["entries", "whole", "storage-used"];
const UNREACHABLE = gettext("The portal cannot be reached. Check the connection, and try again.");

/** The address of this page, without what it has selected at its beginning. */
function here() {
  const address = new URL(location.href);
  address.searchParams.delete("select");
  return address.pathname + address.search;
}

/**
 * Send a form to an address that goes on to this page.
 * @param {string} action
 * @param {string[][]} fields without its token
 * @returns {Promise<string>} what went wrong, or ""
 */
export async function post(action, fields) {
  const token = document.getElementById("tray").dataset.token;
  const all = [["csrf_token", token], ...fields, ["next", here()]];
  const response = await fetch(action, { method: "POST", body: new URLSearchParams(all) }).catch(
    () => null,
  );
  if (!response) return UNREACHABLE;
  const page = await pageOf(response);
  if (response.status === 404) await refresh();
  if (!response.ok || signedIn(page) !== signedIn(document)) return whatIsWrong(page, response);
  const error = page.querySelector("main > .note.error");
  if (error) return error.textContent.trim();
  put(page);
  tell(page);
  return "";
}

const pageOf = async (response) =>
  new DOMParser().parseFromString(await response.text(), "text/html");

/** What the page of an error says, or the one that asks to sign in. It is not sent again. */
function whatIsWrong(page, response) {
  const said = ["main > .note.error", "main > .card > h1 + p", "main h1"]
    .map((selector) => page.querySelector(selector))
    .find(Boolean);
  if (said) return said.textContent.trim();
  return gettext("The answer was an error (%(status)s). Look what was done before you try again.", {
    status: response.status,
  });
}

/** Show the list as it is now: something of it is not there any more. */
async function refresh() {
  const response = await fetch(here()).catch(() => null);
  const page = response && (await pageOf(response));
  if (response?.ok && signedIn(page) === signedIn(document)) put(page);
}

function put(page) {
  const at = placeOfFocus();
  replaceParts(CHANGING, page);
  restoreFocus(at);
}

/** Do as {@link post}, and say what went wrong where other messages are. */
export async function postAndTell(action, fields) {
  const problem = await post(action, fields);
  if (problem) tellProblem(problem);
}

/** Where the focus is, in case that its row goes. */
function placeOfFocus() {
  const row = rowOf(document.activeElement);
  return row && { index: rows().indexOf(row), kind: kindOf(document.activeElement) };
}

/** What an element is in its row. */
export const kindOf = (element) =>
  ["[name=entry]", ".actions", ".action [data-share]", "button"].find((one) => element.matches(one)) ??
  "th > a";

function restoreFocus(at) {
  const left = rows();
  if (!at || rowOf(document.activeElement)) return;
  const row = left[Math.min(at.index, left.length - 1)];
  (row?.querySelector(at.kind) ?? document.getElementById("main")).focus({ preventScroll: true });
}

/** The place of messages: above the page, as what they are of may be far from its beginning. */
function toast() {
  document.querySelector(".toast")?.remove();
  for (const old of document.querySelectorAll("main > .note, main > #undo")) old.remove();
  const made = Object.assign(document.createElement("div"), { className: "toast row" });
  const close = Object.assign(document.createElement("button"), {
    className: "quiet close",
    type: "button",
    textContent: "×",
    ariaLabel: gettext("Close the message"),
  });
  close.addEventListener("click", () => {
    made.remove();
    focusNew([]);
  });
  made.append(close);
  document.body.append(made);
  return made;
}

function tell(page) {
  const said = page.querySelectorAll("main > .note, main > #undo");
  if (!said.length) return;
  toast().prepend(...said);
  announce(said[0].firstChild.textContent.trim());
}

/** Say what went wrong, or cannot be done, where other messages are. */
export function tellProblem(text) {
  toast().prepend(
    Object.assign(document.createElement("p"), { className: "note error", textContent: text }),
  );
  announce(text, true);
}

function announce(text, urgent = false) {
  document.getElementById(urgent ? "tray-alert" : "tray-status").textContent = text;
}

/** Return what a form sends, besides its token. */
export const fieldsOf = (form) => [...new FormData(form)].filter(([name]) => name !== "csrf_token");

/** Focus the first row that is not one of those before, if any, unless the focus is on something. */
export function focusNew(before) {
  if (document.activeElement !== document.body) return;
  const fresh = before.length ? rows().find((row) => !before.includes(idOf(row))) : undefined;
  (fresh ? linkOf(fresh) : document.getElementById("main")).focus();
}

document.addEventListener("portal:gone", refresh);

// What undoes it, is sent likewise, and once.
document.addEventListener("submit", async (event) => {
  if (event.target.id !== "undo" || !document.getElementById("entries")) return;
  event.preventDefault();
  if (event.target.ariaBusy) return;
  event.target.ariaBusy = "true";
  const before = ["", ...rows().map(idOf)];
  await postAndTell(event.target.action, fieldsOf(event.target));
  focusNew(before);
  event.target.ariaBusy = null;
});
