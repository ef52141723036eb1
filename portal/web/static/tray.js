/**
 * The upload tray: takes the files that are selected or dropped on a folder's page, has them uploaded,
 * and shows how far each is. Without it, the page's form uploads by itself.
 */

import { keepOnNavigation } from "./navigation.js";
import { Upload, unfinished } from "./uploads.js";

const NUMBER = new Intl.NumberFormat(undefined, { maximumFractionDigits: 1 });

/** Write a number of bytes, as the server does: 1.5 MiB. */
function humanSize(bytes) {
  const units = ["bytes", "KiB", "MiB", "GiB", "TiB"];
  let unit = 0;
  while (bytes >= 1024 && unit < units.length - 1) {
    bytes /= 1024;
    unit += 1;
  }
  return `${NUMBER.format(bytes)} ${units[unit]}`;
}

/** Write a length of time for people, who need no seconds where it is long. */
function humanTime(seconds) {
  if (seconds < 60) return `${Math.ceil(seconds)} s left`;
  if (seconds < 3600) return `${Math.ceil(seconds / 60)} min left`;
  return `${NUMBER.format(seconds / 3600)} h left`;
}

const SAID = { queued: "Waiting", paused: "Paused", cancelled: "Cancelled" };

/** One line of the tray. */
class TrayItem {
  /** @param {Upload} upload */
  constructor(upload) {
    this.upload = upload;
    const template = document.getElementById("tray-item");
    this.element = template.content.firstElementChild.cloneNode(true);
    this.element.querySelector(".name").textContent = upload.name;
    this.progress = this.element.querySelector("progress");
    this.progress.max = Math.max(upload.size, 1);
    this.progress.setAttribute("aria-label", `Upload of ${upload.name}`);
    this.buttons = {};
    for (const button of this.element.querySelectorAll("button")) {
      const action = button.dataset.action;
      this.buttons[action] = button;
      button.setAttribute("aria-label", `${button.textContent} ${upload.name}`);
      button.addEventListener("click", () => this.press(action));
    }
    this.show();
  }

  press(action) {
    this.upload[action === "retry" ? "resume" : action]();
    // A button that went had the focus; the one in its place takes it.
    if (document.activeElement === document.body || this.buttons[action].hidden) {
      Object.values(this.buttons).find((button) => !button.hidden)?.focus();
    }
  }

  show() {
    const { upload } = this;
    this.element.dataset.state = upload.state;
    this.progress.value = upload.state === "done" ? this.progress.max : upload.sent;
    this.element.querySelector(".said").textContent = this.#said();
    this.buttons.pause.hidden = upload.state !== "running" && upload.state !== "queued";
    this.buttons.resume.hidden = upload.state !== "paused";
    this.buttons.retry.hidden = upload.state !== "failed";
    this.buttons.cancel.hidden = upload.state === "done";
  }

  #said() {
    const { upload } = this;
    if (upload.state === "failed") return upload.problem;
    if (upload.state === "done") return `Done, ${humanSize(upload.size)}`;
    const there = `${humanSize(upload.sent)} of ${humanSize(upload.size)}`;
    if (upload.state !== "running") return `${SAID[upload.state]}, ${there}`;
    if (upload.size && upload.sent === upload.size) return "Checking what arrived …";
    if (!upload.speed) return there;
    const left = humanTime((upload.size - upload.sent) / upload.speed);
    return `${there}, ${humanSize(upload.speed)}/s, ${left}`;
  }
}

const AT_ONCE = 3;
const tray = document.getElementById("tray");
const list = tray.querySelector("ul");
const heading = tray.querySelector("h2");
const uploads = [];

/** Say something to screen readers: politely, or at once where it went wrong. */
function announce(text, urgent = false) {
  tray.querySelector(urgent ? "[role=alert]" : "[role=status]").textContent = text;
}

const uploadForm = () => document.querySelector("form[data-folder]");
const active = () => uploads.filter((upload) => upload.isActive);

/** Begin as many as may run at once, in their order. Each that begins calls this again. */
function startNext() {
  for (const upload of [...uploads]) {
    if (uploads.filter((one) => one.state === "running").length >= AT_ONCE) return;
    upload.start();
  }
}

function showTotals() {
  const done = uploads.filter((upload) => upload.state === "done").length;
  heading.textContent = active().length
    ? `Uploading ${Math.min(done + 1, uploads.length)} of ${uploads.length}`
    : `Uploads: ${done} of ${uploads.length} done`;
  tray.querySelector("[data-clear]").hidden = !uploads.some((upload) => !upload.isActive);
}

/** @param {Upload} upload what has changed */
function changed(upload, previous) {
  upload.item.show();
  if (previous !== upload.state) {
    if (upload.state === "done") {
      announce(`${upload.name} is uploaded.`);
      if (!active().some((one) => one.folder === upload.folder)) refreshList(upload.folder);
    }
    if (upload.state === "failed") announce(`${upload.name}: ${upload.problem}`, true);
    if (upload.state === "cancelled") remove(upload);
    startNext();
  }
  showTotals();
}

function remove(upload) {
  const item = upload.item.element;
  const hadFocus = item.contains(document.activeElement);
  const next = item.nextElementSibling ?? item.previousElementSibling;
  item.remove();
  uploads.splice(uploads.indexOf(upload), 1);
  tray.hidden = uploads.length === 0;
  // Focus must not be lost with the row that had it.
  if (hadFocus) (next?.querySelector("button") ?? document.getElementById("main")).focus();
}

/**
 * Upload files into a folder.
 * @param {{file: File, path: string}[]} files with where each lies in a folder that was dropped
 * @param {string} folder the folder's public id
 */
function add(files, folder) {
  for (const { file, path } of files) {
    const upload = new Upload(file, path, folder, tray.dataset);
    upload.item = new TrayItem(upload);
    upload.onchange = (previous) => changed(upload, previous);
    uploads.push(upload);
    list.append(upload.item.element);
  }
  if (!files.length) return;
  tray.hidden = false;
  showUnfinished();
  announce(`${files.length} ${files.length === 1 ? "file" : "files"} added to the uploads.`);
  startNext();
  showTotals();
}

/** Show what the folder holds now, if its page is still open. */
async function refreshList(folder) {
  if (uploadForm()?.dataset.folder !== folder) return;
  const response = await fetch(location.href);
  if (!response.ok) return;
  const page = new DOMParser().parseFromString(await response.text(), "text/html");
  const selected = new Set([...document.querySelectorAll("[name=entry]:checked")].map((box) => box.value));
  for (const id of ["entries", "storage-used"]) {
    const [old, fresh] = [document.getElementById(id), page.getElementById(id)];
    if (old && fresh && !old.contains(document.activeElement)) old.replaceWith(fresh);
  }
  for (const box of document.querySelectorAll("[name=entry]")) box.checked = selected.has(box.value);
  document.dispatchEvent(new Event("portal:page"));
}

/** Name what a closed tab has left: selecting the same file again resumes it. */
function showUnfinished() {
  const notice = document.getElementById("unfinished");
  if (!notice) return;
  notice.replaceChildren();
  const known = new Set(uploads.map((upload) => upload.fingerprint));
  for (const one of unfinished(uploadForm().dataset.folder)) {
    if (known.has(one.fingerprint)) continue;
    const line = document.createElement("p");
    const name = Object.assign(document.createElement("bdi"), { textContent: one.name });
    const forget = document.createElement("button");
    Object.assign(forget, { type: "button", className: "quiet", textContent: "Forget" });
    forget.setAttribute("aria-label", `Forget ${one.name}`);
    forget.addEventListener("click", async () => {
      await one.forget(tray.dataset);
      announce(`${one.name} was removed from the list.`);
      line.remove();
      uploadForm()?.querySelector("button").focus();
    });
    line.append(name, " was not uploaded completely. Select or drop it again to resume. ", forget);
    notice.append(line);
  }
}

/**
 * Return what was dropped: files, and folders with all that is in them.
 * @param {DataTransfer} dropped
 * @returns {Promise<{file: File, path: string}[]>} each with its path in a dropped folder, or ""
 */
async function filesOf(dropped) {
  // Now: after the first await, the browser has forgotten what was dropped.
  const entries = Array.from(dropped.items, (item) => item.webkitGetAsEntry?.()).filter(Boolean);
  if (!entries.length) return Array.from(dropped.files, (file) => ({ file, path: "" }));
  return (await Promise.all(entries.map((entry) => walk(entry)))).flat();
}

async function walk(entry) {
  if (entry.isFile) {
    const file = await new Promise((resolve, reject) => entry.file(resolve, reject));
    const path = entry.fullPath.replace(/^\//, "");
    return [{ file, path: path.includes("/") ? path : "" }];
  }
  const reader = entry.createReader();
  const found = [];
  for (;;) {
    // A folder's entries come in portions, and an empty one at its end.
    const portion = await new Promise((resolve, reject) => reader.readEntries(resolve, reject));
    if (!portion.length) return found;
    for (const inner of portion) found.push(...(await walk(inner)));
  }
}

/** Upload what an input holds, and empty it for more. */
function addSelected(input, folder) {
  add(Array.from(input.files, (file) => ({ file, path: file.webkitRelativePath })), folder);
  input.value = "";
}

/** Take over the form and the page, which may be a new one. */
function takeOver() {
  const form = uploadForm();
  if (!form || form.dataset.taken) return;
  form.dataset.taken = "yes";
  for (const input of form.querySelectorAll("input[type=file]")) {
    input.addEventListener("change", () => addSelected(input, form.dataset.folder));
    // Somebody was faster than this script.
    addSelected(input, form.dataset.folder);
  }
  const opener = form.querySelector("[data-opens]");
  opener.addEventListener("click", () => document.getElementById(opener.dataset.opens).click());
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    form.querySelector("input[type=file]").click();
  });
  showUnfinished();
}

document.addEventListener("dragover", (event) => {
  if (!uploadForm() || !event.dataTransfer.types.includes("Files")) return;
  event.preventDefault();
  document.documentElement.classList.add("dropping");
});
document.addEventListener("dragleave", (event) => {
  if (event.relatedTarget === null) document.documentElement.classList.remove("dropping");
});
document.addEventListener("drop", async (event) => {
  document.documentElement.classList.remove("dropping");
  const form = uploadForm();
  if (!form || !event.dataTransfer.types.includes("Files")) return;
  event.preventDefault();
  add(await filesOf(event.dataTransfer), form.dataset.folder);
});
tray.querySelector("[data-clear]").addEventListener("click", () => {
  for (const upload of uploads.filter((one) => !one.isActive)) remove(upload);
  document.getElementById("main").focus();
});
window.addEventListener("beforeunload", (event) => {
  if (active().length) event.preventDefault();
});
window.addEventListener("online", () => {
  for (const upload of uploads.filter((one) => one.isCutOff)) upload.resume();
});
document.addEventListener("portal:page", takeOver);
keepOnNavigation(() => active().length > 0);
takeOver();
