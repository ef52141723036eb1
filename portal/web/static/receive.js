/** The page that asks where to save what an app has sent: nothing is uploaded before a tap. */

import { ngettext } from "./text.js";
import { forget, waiting } from "./waiting.js";

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
  const files = await waiting();
  await forget(); // now: a second tap saves nothing again
  const carrier = new DataTransfer();
  for (const file of files) carrier.items.add(file);
  input.files = carrier.files;
  input.dispatchEvent(new Event("change", { bubbles: true }));
  part("waiting").hidden = true;
  part("saving").hidden = files.length === 0;
  part("nothing").hidden = files.length > 0;
}

async function discard() {
  await forget();
  show([]);
  document.getElementById("main").focus();
}

part("save").addEventListener("click", save);
part("discard").addEventListener("click", discard);
show(await waiting().catch(() => []));
