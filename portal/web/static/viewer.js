/**
 * A file seen over its list, in a dialog. The page's address names it as ?view=: so Back closes it,
 * and a reload shows it again. Without this, each file has a page of its own, whose keys are these.
 */

import { FAILED, extend, forgetPages, idOf, isFile } from "./viewer_files.js";
import { keepOnly, linkOf, load, placeOf } from "./viewer_files.js";
import { improveStage, listenToSwipes, toggleZoom } from "./viewer_stage.js";

let dialog;
let shown = "";
let opener;

const asked = () => new URLSearchParams(location.search).get("view") ?? "";
const isOpen = () => dialog?.open ?? false;
const inDialog = (selector) => dialog.querySelector(selector);

/** Name a file in the address, or none. */
function address(id) {
  const url = new URL(location.href);
  url.searchParams.delete("view");
  if (id) url.searchParams.set("view", id);
  return url;
}

function open(id) {
  // One step back from each file leads to the list.
  if (isOpen()) history.replaceState(history.state, "", address(id));
  else history.pushState({ viewer: true }, "", address(id));
  follow();
}

function leave() {
  if (history.state?.viewer) {
    history.back();
  } else {
    history.replaceState(history.state, "", address(""));
    follow();
  }
}

/** Show what the address names. */
function follow() {
  const id = asked();
  if (!id) close();
  else if (id !== shown || !isOpen()) show(id);
}

function close() {
  if (!dialog) return;
  const links = [linkOf(shown), opener];
  dialog.close();
  dialog.remove(); // a film, too
  [dialog, shown] = [undefined, ""];
  keepOnly([]);
  links.find((link) => link?.isConnected && link.ownerDocument === document)?.focus();
}

function build(link) {
  const template = document.getElementById("viewer");
  if (!template || isOpen()) return isOpen();
  opener = link;
  dialog = document.createElement("dialog");
  dialog.className = "over";
  dialog.tabIndex = -1;
  dialog.setAttribute("aria-labelledby", "viewed");
  const said = document.createElement("p");
  said.className = "hidden said";
  said.role = "status";
  dialog.append(template.content.cloneNode(true), said);
  for (const one of dialog.querySelectorAll("a[data-part]")) one.dataset.of = one.getAttribute("href");
  // Its keys are nobody else's.
  dialog.addEventListener("keydown", (event) => {
    pressed(event);
    event.stopPropagation();
  });
  dialog.addEventListener("cancel", (event) => {
    if (event.target !== dialog) return;
    event.preventDefault();
    leave();
  });
  // A browser may close it unasked.
  dialog.addEventListener("close", () => isOpen() || !asked() || leave());
  document.body.append(dialog);
  listenToSwipes(inDialog(".stage"), follows);
  dialog.showModal();
  dialog.focus();
  return true;
}

async function show(id) {
  const link = linkOf(id);
  if (!build(link)) return;
  shown = id;
  // Before the file is there: what is pressed now is for this one.
  for (const one of dialog.querySelectorAll("a[data-part]")) one.href = one.dataset.of.replace("FILE", id);
  if (link) {
    inDialog("[data-part=name]").textContent = link.textContent;
    inDialog(".viewer").dataset.type = link.dataset.viewType;
  }
  dialog.ariaBusy = "true";
  place();
  try {
    const found = await load(id, link);
    if (shown !== id) return;
    if (found.elsewhere) location.replace(found.elsewhere);
    else fill(found);
  } catch (error) {
    if (shown === id) tell(error instanceof TypeError ? FAILED : error.message);
  }
  if (shown !== id) return;
  dialog.ariaBusy = "false";
  await extend(id).catch(() => {});
  if (shown === id) place();
  ahead(id);
}

function fill({ article, parts }) {
  const viewer = inDialog(".viewer");
  viewer.dataset.type = article.dataset.type;
  delete viewer.dataset.actual;
  for (const part of viewer.querySelectorAll("[data-part]")) {
    const { href, nodes } = parts[part.dataset.part];
    if (href) part.href = href;
    else part.replaceChildren(...nodes);
  }
  viewer.beside = {
    prev: article.querySelector("a[rel=prev]"),
    next: article.querySelector("a[rel=next]"),
  };
  improveStage(viewer);
  place();
  const position = inDialog(".position").textContent;
  inDialog(".said").textContent = [inDialog("h1").textContent, position].filter(Boolean).join(", ");
}

function tell(text) {
  const said = document.createElement("p");
  said.className = "instead";
  said.role = "alert";
  said.textContent = text;
  inDialog(".stage").replaceChildren(said);
}

/** Show where in the list the file is, and what is beside it. */
function place() {
  const found = placeOf(shown);
  const beside = found ?? inDialog(".viewer").beside;
  const other = { prev: "next", next: "prev" };
  inDialog(".position").textContent = found?.position ?? "";
  inDialog("[data-close]").href = address("");
  for (const rel of ["prev", "next"]) {
    const link = inDialog(`[data-step=${rel}]`);
    const href = beside?.[rel]?.href;
    const hadFocus = link === document.activeElement;
    if (href) link.href = href;
    else link.removeAttribute("href");
    link.ariaDisabled = href ? null : "true";
    if (hadFocus && !href) (inDialog(`[data-step=${other[rel]}][href]`) ?? dialog).focus();
  }
}

/** Load the pictures beside this one: the next is there at once. */
function ahead(id) {
  const found = placeOf(id);
  const beside = [found?.prev, found?.next].filter(Boolean);
  keepOnly([id, ...beside.map(idOf)]);
  for (const link of beside) if (link.dataset.viewType === "picture") load(idOf(link), link).catch(() => {});
}

/** Go where a link of the viewer leads. */
const follows = (selector) => document.querySelector(`article.viewer ${selector}[href]`)?.click();

const KEYS = { ArrowLeft: "[data-step=prev]", ArrowRight: "[data-step=next]", Escape: "[data-close]", d: "[data-part=download]" };

function pressed(event) {
  if (event.ctrlKey || event.metaKey || event.altKey || event.shiftKey) return;
  // A film has keys of its own.
  if (event.target.closest("audio, video, input, select, textarea")) return;
  const end = { Home: "first", End: "last" }[event.key];
  // In a dialog, Escape is what cancels it.
  const selector = isOpen() && event.key === "Escape" ? null : KEYS[event.key];
  if (selector) {
    event.preventDefault();
    follows(selector);
  } else if (event.key === "z") {
    toggleZoom(event.target.ownerDocument.querySelector("article.viewer"));
  } else if (end && isOpen() && !event.target.closest(".sheet")) {
    event.preventDefault();
    const link = placeOf(shown)?.[end];
    if (link && idOf(link) !== shown) open(idOf(link));
  }
}

/** A plain click on what leads to a file that can be seen. */
function clicked(event) {
  const isPlain = !event.button && !event.ctrlKey && !event.metaKey && !event.shiftKey && !event.altKey;
  if (event.defaultPrevented || !isPlain) return;
  const link = event.target.closest("a");
  const viewer = event.target.closest("article.viewer");
  if (viewer && event.target.closest("[data-zoom], .stage img")) toggleZoom(viewer);
  const isStep = dialog?.contains(link) && link.matches("[data-step]");
  if (dialog?.contains(link) && link.matches("[data-close]")) {
    event.preventDefault();
    leave();
  } else if (isStep ? link.href : isFile(link) && document.getElementById("viewer")) {
    event.preventDefault();
    open(idOf(link));
  }
}

/** The page is another one, or has just come. */
function begin() {
  forgetPages();
  const viewer = document.querySelector("main > article.viewer");
  if (viewer) {
    improveStage(viewer);
    listenToSwipes(viewer.querySelector(".stage"), follows);
  }
  follow();
}

document.addEventListener("click", clicked);
document.addEventListener("keydown", (event) => {
  const isPage = document.querySelector("main > article.viewer") && !document.querySelector("dialog[open]");
  // Behind the last of its controls a dialog leaves the focus to nobody.
  if (isPage || (isOpen() && event.target === document.body)) pressed(event);
});
addEventListener("popstate", follow);
document.addEventListener("portal:page", begin);
begin();
