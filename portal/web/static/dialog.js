/**
 * The forms of links in a dialog on the spot. They are those of the server's own pages, and so is what
 * comes after them: what the dialog shows of a page is marked there, by data-dialog.
 */

import { closed, opened } from "./over.js";
import { gettext } from "./text.js";

const dialog = document.getElementById("dialog");
const [close, failure, place] = dialog.children;
let hasChanged = false;

/** Fetch a page and its status; null if the portal does not answer. */
async function load(url, options) {
  try {
    const response = await fetch(url, options);
    const page = new DOMParser().parseFromString(await response.text(), "text/html");
    if (response.status === 404) document.dispatchEvent(new Event("portal:gone"));
    return [page, response.status];
  } catch {
    return null;
  }
}

async function open(link) {
  const [page, status] = (await load(link.href)) ?? [];
  // Of anything else, such as that one has to sign in, the browser shows the page.
  if (page?.querySelector("[data-dialog]") || status === 404) show(page);
  else location.assign(link.href);
}

/** Show a form, or what came of it; of a page that is not for the dialog, what it says. */
function show(page) {
  const part = page.querySelector("[data-dialog]");
  place.replaceChildren(...(part ?? page.querySelector("main")).childNodes);
  place.toggleAttribute("data-own", Boolean(part));
  document.dispatchEvent(new Event("portal:page"));
  failure.hidden = true;
  if (!dialog.open) {
    dialog.showModal();
    opened(goBack);
  }
  dialog.scrollTop = 0;
  const first = place.querySelector("[autofocus]") ?? firstField() ?? close;
  first.focus();
  if (first.readOnly) first.select();
}

/** Return what somebody types first; on a phone, the keyboard would cover what is asked. */
function firstField() {
  return matchMedia("(pointer: fine)").matches ? place.querySelector("[name=name]") : null;
}

async function send(form) {
  if (form.ariaBusy) return;
  form.ariaBusy = "true"; // whoever clicks twice wants one link
  const body = new URLSearchParams(new FormData(form));
  const sent = load(form.action, { method: "POST", body });
  const creates = form.matches(".terms");
  // Before it is shown: what is in the dialog is no more in the page that came.
  const link = sent.then((came) => came?.[0].querySelector("[data-dialog] #link")?.value);
  const copied = creates ? copy(link) : null;
  const answer = await sent;
  form.ariaBusy = null;
  failure.hidden = Boolean(answer);
  if (!answer) return;
  hasChanged = true;
  const said = answer[0].querySelector("main > .note");
  if (said && !answer[0].querySelector("[data-dialog]")) end(said);
  else show(answer[0]);
  if (creates && place.querySelector("#link")) say(await copied);
}

/**
 * Copy a link that is not there yet, and return whether that was done. It begins now, while the
 * browser knows that somebody pressed a button; after the answer, some allow no copying.
 */
async function copy(link) {
  const text = link.then((found) => {
    if (!found) throw new Error("no link was created");
    return new Blob([found], { type: "text/plain" });
  });
  try {
    await navigator.clipboard.write([new ClipboardItem({ "text/plain": text })]);
    return true;
  } catch {
    text.catch(() => {});
    return Boolean(await link) && writeText(await link);
  }
}

async function writeText(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    return false;
  }
}

function say(isCopied) {
  const said = place.querySelector(".copying [role=status]");
  if (!said) return;
  if (isCopied) said.dataset.done = "copied";
  said.textContent = isCopied
    ? gettext("Copied.")
    : gettext("It is selected: copy it with the keyboard.");
}

/** Show, in place of the form, what the page after it says of what was done. */
function end(said) {
  const done = document.createElement("h1");
  done.id = "dialog-title";
  done.textContent = said.textContent.trim();
  place.replaceChildren(done);
  close.focus();
}

/** Show the links of this page as they are now. */
async function renew() {
  const old = document.querySelector("main [data-links]");
  const [page] = (old && (await load(location.href))) ?? [];
  const fresh = page?.querySelector("main [data-links]");
  if (fresh) old.replaceWith(fresh);
}

/** Offer the device's own way to send something on, where it has one. */
function offer() {
  for (const button of document.querySelectorAll("[data-send]")) button.hidden = !navigator.share;
}

document.addEventListener("click", (event) => {
  const link = event.target.closest("a[data-share]");
  const isPlain = !event.ctrlKey && !event.metaKey && !event.shiftKey;
  if (link && isPlain) {
    event.preventDefault();
    open(link);
  } else if (event.target.closest("#dialog [data-close]")) {
    event.preventDefault();
    dialog.close();
  } else if (event.target.dataset.send) {
    const { send: id, title } = event.target.dataset;
    navigator.share({ title, url: document.getElementById(id).value }).catch(() => {});
  }
});

// A password that was typed does not stay behind another choice.
document.addEventListener("change", ({ target }) => {
  if (target.name === "lock" && target.value !== "own") target.form.elements.password.value = "";
});

dialog.addEventListener("submit", (event) => {
  if (!place.hasAttribute("data-own")) return;
  event.preventDefault();
  send(event.target);
});

/** Close it, unless it shows a link for the only time that nobody has copied. */
function goBack() {
  const said = place.querySelector(".copying [role=status]");
  const isLost = place.querySelector("#link") && said && !said.dataset.done;
  if (!isLost) return dialog.close();
  said.dataset.done = "warned";
  said.textContent = gettext("Copy the link first: you won't see it again.");
  return false;
}

dialog.addEventListener("close", () => {
  closed();
  place.replaceChildren();
  if (hasChanged) renew();
  hasChanged = false;
});

document.addEventListener("portal:page", offer);
offer();
