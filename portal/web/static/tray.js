/**
 * The upload tray: takes the files that are selected or dropped on a folder's page, has them uploaded,
 * and shows how far each is. Without it, the page's form uploads by itself.
 */

import { begunUploads } from "./begun_uploads.js";
import { aimAt, folderAt } from "./drag.js";
import { filesOf } from "./dropped.js";
import { keepOnNavigation, noteVersion } from "./navigation.js";
import { replaceParts, signedIn } from "./parts.js";
import { pastedFiles } from "./pasted.js";
import { decide, takenOf } from "./taken.js";
import { gettext } from "./text.js";
import { TrayItem } from "./tray_item.js";
import { added, cancelled, ended, totals } from "./tray_words.js";
import { Group, firstGroup } from "./upload_groups.js";
import { cancelUpload, renewToken } from "./upload_requests.js";
import { Upload } from "./uploads.js";

const AT_ONCE = 3;
const tray = document.getElementById("tray");
const list = tray.querySelector("ul");
const heading = tray.querySelector("h2");
const [clear, fold] = ["[data-clear]", "[data-fold]"].map((one) => tray.querySelector(one));
const uploads = [];

/** Say something to screen readers: politely, or at once where it went wrong. */
function announce(text, urgent = false) {
  document.getElementById(urgent ? "tray-alert" : "tray-status").textContent = text;
}

const uploadForm = () => document.querySelector("form[data-target]");
const active = () => uploads.filter((upload) => upload.isActive);

/** Begin as many as may run at once, in their order. Each that begins calls this again. */
function startNext() {
  const waiting = () => uploads.filter((one) => one.state === "queued" && !one.group);
  const running = () => uploads.filter((one) => one.state === "running");
  for (let next = waiting(); next.length; next = waiting()) {
    if (new Set(running().map((one) => one.group ?? one)).size >= AT_ONCE) return;
    const [first, ...others] = firstGroup(next);
    if (others.length) new Group([first, ...others]).send().then(startNext);
    else first.start();
  }
}

function showTotals() {
  heading.textContent = totals(uploads);
  const bar = tray.querySelector("progress.all");
  // A byte for each, so that empty files count, too.
  bar.max = uploads.reduce((sum, upload) => sum + upload.size + 1, 0) || 1;
  bar.value = uploads.reduce((sum, one) => sum + one.sent + (one.state === "done" ? 1 : 0), 0);
  clear.hidden = !uploads.some((upload) => upload.state === "done");
}

/** Show the list of the tray, or its heading only. */
function foldTray(isFolded) {
  tray.toggleAttribute("data-folded", isFolded);
  fold.setAttribute("aria-expanded", !isFolded);
  fold.textContent = isFolded ? gettext("Show") : gettext("Hide");
  const label = isFolded ? gettext("Show the list of uploads") : gettext("Hide the list of uploads");
  fold.setAttribute("aria-label", label);
}

/** @param {Upload} upload what has changed */
function changed(upload, previous) {
  upload.item.show();
  if (previous !== upload.state) {
    if (upload.state === "done") announce(ended(upload));
    if (upload.state === "failed") announce(`${upload.name}: ${upload.problem}`, true);
    if (upload.state === "cancelled") {
      announce(cancelled(upload.name));
      remove(upload);
    }
    startNext();
    refreshIfIdle();
  }
  showTotals();
}

function remove(upload) {
  if (!uploads.includes(upload)) return;
  const item = upload.item.element;
  const hadFocus = item.contains(document.activeElement);
  const next = item.nextElementSibling ?? item.previousElementSibling;
  item.remove();
  uploads.splice(uploads.indexOf(upload), 1);
  tray.hidden = uploads.length === 0;
  // Focus must not be lost with the row that had it.
  if (hadFocus) (next?.querySelector("button:not([hidden])") ?? document.getElementById("main")).focus();
}

/**
 * Upload files, and create folders that hold none. It is asked first about names that are taken.
 * @param {{file: File | null, path: string}[]} chosen with where each lies in a folder that was dropped
 * @param {DOMStringMap} from target and account
 * @returns {Promise<object[]>} those that were added
 */
async function add(chosen, from) {
  if (!chosen.length) return [];
  const form = { ...from }; // the page may be another one by then
  const begun = begunUploads();
  const files = form.account ? await decide(chosen, form, tray.dataset) : chosen;
  if (!files.length) return [];
  const lines = document.createDocumentFragment();
  for (const one of files) {
    const upload = new Upload(one, form, tray.dataset, begun);
    upload.item = new TrayItem(upload, tray.dataset.signIn);
    upload.onchange = (previous) => changed(upload, previous);
    upload.oncancelled = (isStored) => {
      const { name } = upload;
      if (isStored) announce(gettext("%(name)s was uploaded before it was cancelled.", { name }), true);
      refreshIfIdle();
    };
    upload.oncomplete = async (isSame) => {
      const again = { file: one.file, path: one.path };
      if (isSame && (await takenOf([again], form, tray.dataset)).size) return "stored";
      const [answer] = await decide([again], form, tray.dataset);
      if (!answer) return "skip";
      return answer.replaces ? "replace" : "keep";
    };
    uploads.push(upload);
    lines.append(upload.item.element);
  }
  list.append(lines);
  // A phone has little room beside it.
  if (tray.hidden) foldTray(matchMedia("(max-width: 48rem)").matches);
  tray.hidden = false;
  announce(added(files.length));
  startNext();
  showTotals();
  return files;
}

/** The parts of a page that uploads change; all but the last are of the form's own page. */
const CHANGING = ["entries", "whole", "unfinished", "limit", "arrived", "storage-used"];
let isRefreshing = false;
let isStale = false;

function refreshIfIdle() {
  if (!uploads.some((one) => one.isUnderWay)) refresh();
}

/** Show what is there now, on the page that is open. */
async function refresh() {
  isStale = true;
  if (isRefreshing) return;
  isRefreshing = true;
  while (isStale) {
    isStale = false;
    await refreshOnce().catch(() => {}); // without a network, the next upload's end shows it
  }
  isRefreshing = false;
}

async function refreshOnce() {
  const shown = location.href;
  const address = uploadForm() ? shown : tray.dataset.storage;
  if (!address) return;
  // Nobody loses what they type: the list follows when they are done.
  if (document.getElementById("rename")) {
    document.addEventListener("portal:renamed", refresh, { once: true });
    return;
  }
  const response = await fetch(address);
  if (!response.ok || response.redirected || location.href !== shown) return;
  const page = new DOMParser().parseFromString(await response.text(), "text/html");
  noteVersion(page);
  if (signedIn(page) !== signedIn(document)) return;
  const ids = uploadForm() ? CHANGING : CHANGING.slice(-1);
  // A link may accept nothing more.
  const isEnded = uploadForm() && !page.querySelector("form[data-target]");
  replaceParts(isEnded ? [...ids, "send"] : ids, page);
}

/** Leave out of the page's unfinished uploads those that this tray goes on with. */
function hideOwn() {
  const own = new Set(uploads.map((upload) => upload.publicId));
  for (const line of document.querySelectorAll("[data-upload]")) {
    line.hidden = own.has(line.dataset.upload);
  }
}

/** Cancel what another page has begun. */
async function cancelUnfinished(button) {
  const line = button.closest("[data-upload]");
  await cancelUpload(button.dataset.cancel, tray.dataset);
  announce(cancelled(line.querySelector("bdi").textContent));
  await refresh();
  document.getElementById("main").focus();
}

/** Upload what an input holds, empty it for more, and tell it what became of each file. */
async function addSelected(input, form) {
  const chosen = Array.from(input.files, (file) => ({ file, path: file.webkitRelativePath }));
  input.value = "";
  const added = (await add(chosen, form)).length;
  const left = chosen.filter((one) => one.isUndecided).map(({ file }) => file);
  const detail = { added, left, skipped: chosen.length - added - left.length };
  input.dispatchEvent(new CustomEvent("portal:added", { detail }));
}

/** Take over the form and the page, which may be a new one. */
function takeOver() {
  hideOwn();
  const form = uploadForm();
  if (!form || form.dataset.taken) return;
  form.dataset.taken = "yes";
  for (const input of form.querySelectorAll("input[type=file]")) {
    input.addEventListener("change", () => addSelected(input, form.dataset));
    // Somebody was faster than this script.
    addSelected(input, form.dataset);
  }
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    form.querySelector("input[type=file]").click();
  });
}

/** Go on with what waits, now that somebody may have signed in. */
async function goOn() {
  if (!uploads.some((upload) => upload.isWaiting)) return;
  const session = await renewToken(tray.dataset);
  for (const upload of uploads.filter((one) => one.isWaiting)) {
    if (session && (!upload.account || upload.account === session.account)) upload.resume();
  }
}

/** Show which folder gets files that are dropped now: one of the list or of the path, or the page's. */
function aimFiles(folder, isOver = true) {
  aimAt(folder);
  document.documentElement.classList.toggle("dropping", isOver && !folder);
}

/** Return the folder below a pointer with files, if whoever sees it may upload there. */
const folderBelow = (event) => (uploadForm().dataset.account ? folderAt(event.target) : null);
const hasFiles = (event) => uploadForm() && event.dataTransfer.types.includes("Files");

document.addEventListener("dragover", (event) => {
  if (!hasFiles(event)) return;
  event.preventDefault();
  aimFiles(folderBelow(event));
});
document.addEventListener("dragleave", (event) => {
  if (event.relatedTarget === null) aimFiles(null, false);
});
document.addEventListener("drop", async (event) => {
  if (!hasFiles(event)) return;
  event.preventDefault();
  const [folder, form] = [folderBelow(event), { ...uploadForm().dataset }];
  aimFiles(null, false);
  if (folder) form.target = `folder/${folder.id}`;
  add(await filesOf(event.dataTransfer), form);
});
document.addEventListener("paste", (event) => {
  const form = uploadForm();
  const files = form ? pastedFiles(event) : [];
  if (!files.length) return;
  event.preventDefault();
  add(files, form.dataset);
});
document.addEventListener("click", (event) => {
  const button = event.target.closest?.("[data-cancel]");
  if (button) cancelUnfinished(button);
  const opener = event.target.closest?.("[data-opens]");
  if (opener) document.getElementById(opener.dataset.opens).click();
});
clear.addEventListener("click", () => {
  // What failed stays: it can be tried again, and is not lost without a word.
  for (const upload of uploads.filter((one) => one.state === "done")) remove(upload);
  showTotals();
  document.getElementById("main").focus();
});
tray.querySelector("[data-reload]").addEventListener("click", () => location.reload());
fold.addEventListener("click", () => foldTray(!tray.hasAttribute("data-folded")));
window.addEventListener("beforeunload", (event) => {
  if (active().length) event.preventDefault();
});
for (const event of ["online", "focus"]) window.addEventListener(event, goOn);
document.addEventListener("visibilitychange", () => document.hidden || goOn());
document.addEventListener("portal:page", () => {
  takeOver();
  goOn();
});
keepOnNavigation(() => uploads.some((upload) => upload.isActive || upload.isWaiting));
takeOver();
