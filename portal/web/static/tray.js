/**
 * The upload tray: takes the files that are selected or dropped on a folder's page, has them uploaded,
 * and shows how far each is. Without it, the page's form uploads by itself.
 */

import { filesOf } from "./drop.js";
import { TrayItem } from "./item.js";
import { keepOnNavigation } from "./navigation.js";
import { Upload, unfinished } from "./uploads.js";

const AT_ONCE = 3;
const tray = document.getElementById("tray");
const list = tray.querySelector("ul");
const heading = tray.querySelector("h2");
const uploads = [];

/** Say something to screen readers: politely, or at once where it went wrong. */
function announce(text, urgent = false) {
  tray.querySelector(urgent ? "[role=alert]" : "[role=status]").textContent = text;
}

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
    upload.onchange = (previous) => {
      upload.item.show();
      changed(upload, previous);
    };
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
  if (document.querySelector("form[data-folder]")?.dataset.folder !== folder) return;
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

/** Tell of what a closed tab has left: selecting the same file again resumes it. */
function showUnfinished() {
  const notice = document.getElementById("unfinished");
  if (!notice) return;
  notice.replaceChildren();
  const known = new Set(uploads.map((upload) => upload.fingerprint));
  for (const one of unfinished(document.querySelector("form[data-folder]").dataset.folder)) {
    if (known.has(one.fingerprint)) continue;
    const line = document.createElement("p");
    const name = document.createElement("bdi");
    name.textContent = one.name;
    const forget = document.createElement("button");
    forget.type = "button";
    forget.className = "quiet";
    forget.textContent = "Forget";
    forget.setAttribute("aria-label", `Forget ${one.name}`);
    forget.addEventListener("click", async () => {
      await one.forget(tray.dataset);
      announce(`${one.name} was removed from the list.`);
      line.remove();
      document.querySelector("form[data-folder] button")?.focus();
    });
    line.append(name, " was not uploaded completely. Select or drop it again to resume. ", forget);
    notice.append(line);
  }
}

/** Upload what an input holds, and empty it for more. */
function addSelected(input, folder) {
  add(Array.from(input.files, (file) => ({ file, path: file.webkitRelativePath })), folder);
  input.value = "";
}

/** Take over the form and the page, which may be a new one. */
function takeOver() {
  const form = document.querySelector("form[data-folder]");
  if (!form || form.dataset.taken) return;
  form.dataset.taken = "yes";
  for (const input of form.querySelectorAll("input[type=file]")) {
    input.addEventListener("change", () => addSelected(input, form.dataset.folder));
    // Somebody was faster than this script.
    addSelected(input, form.dataset.folder);
  }
  for (const button of form.querySelectorAll("[data-opens]")) {
    button.addEventListener("click", () => document.getElementById(button.dataset.opens).click());
  }
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    form.querySelector("input[type=file]").click();
  });
  showUnfinished();
}

document.addEventListener("dragover", (event) => {
  if (!document.querySelector("form[data-folder]") || !event.dataTransfer.types.includes("Files")) return;
  event.preventDefault();
  document.documentElement.classList.add("dropping");
});
for (const type of ["dragleave", "drop"]) {
  document.addEventListener(type, (event) => {
    if (type === "drop" || event.relatedTarget === null) {
      document.documentElement.classList.remove("dropping");
    }
  });
}
document.addEventListener("drop", async (event) => {
  const form = document.querySelector("form[data-folder]");
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
