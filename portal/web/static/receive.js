/** The page that asks where to save what an app has sent: nothing is uploaded before a tap. */

import { ngettext } from "./text.js";
import { forget, keepOnly, waiting } from "./waiting.js";

const part = (name) => document.querySelector(`[data-part=${name}]`);
const form = document.querySelector("form[data-target]");
const input = form.querySelector("input[type=file]");

function show(files) {
  part("waiting").hidden = files.length === 0;
  part("nothing").hidden = files.length > 0;
  part("number").textContent = ngettext("%(num)s file", "%(num)s files", files.length);
  const lines = files.map((file) => {
    const line = document.createElement("li");
    line.append(Object.assign(document.createElement("bdi"), { textContent: file.name }));
    return line;
  });
  part("list").replaceChildren(...lines);
}

/** Hand the files over to the upload tray, as if they had been selected here. */
async function save() {
  part("save").disabled = part("discard").disabled = true; // a second tap saves nothing again
  const { files, at } = await waiting();
  const carrier = new DataTransfer();
  for (const file of files) carrier.items.add(file);
  input.files = carrier.files;
  // They wait on until it is decided what becomes of each: names may be taken.
  input.addEventListener("portal:added", ({ detail }) => saved(detail, at), { once: true });
  input.dispatchEvent(new Event("change", { bubbles: true }));
}

/** Say what became of the files, and have those wait on about which nothing was decided. */
async function saved({ added, skipped, left }, at) {
  await keepOnly({ files: left, at });
  const { place } = form.dataset;
  const said = [
    added && ngettext("%(num)s file is being saved in %(place)s.", "%(num)s files are being saved in %(place)s.", added, { place }),
    skipped && ngettext("%(num)s file was skipped.", "%(num)s files were skipped.", skipped),
    left.length && ngettext("%(num)s file still waits.", "%(num)s files still wait.", left.length),
  ];
  part("said").textContent = said.filter(Boolean).join(" ");
  part("save").disabled = part("discard").disabled = false;
  show(left);
  part("saving").hidden = !part("said").textContent;
  part("nothing").hidden = left.length > 0 || !part("saving").hidden;
  (left.length ? part("save") : document.getElementById("main")).focus();
}

async function discard() {
  await forget();
  part("saving").hidden = true;
  show([]);
  document.getElementById("main").focus();
}

part("save").addEventListener("click", save);
part("discard").addEventListener("click", discard);
show(await waiting().then(({ files }) => files, () => []));
