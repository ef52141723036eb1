/** Renaming in the row itself. What is wrong with a name is said there, too. */

import { post, tellProblem } from "./in_place.js";
import { renameAddress } from "./row_actions.js";
import { idOf, isFolder, linkOf, nameOf, rows } from "./row.js";
import { gettext } from "./text.js";

/** The end of a name that tells its type; of an archive, it has two parts. */
const ENDING = /(\.tar)?\.[^.]+$/i;

/** Have a row ask for its new name. */
export function rename(row) {
  document.getElementById("rename")?.dispatchEvent(new Event("close"));
  const [link, name] = [linkOf(row), nameOf(row)];
  const template = document.getElementById("row-menu").content;
  const form = template.querySelector("form.rename").cloneNode(true);
  const [input, problem] = [form.querySelector("input"), form.querySelector(".problem")];
  const close = () => {
    form.remove();
    link.hidden = false;
    link.focus({ preventScroll: true });
    document.dispatchEvent(new Event("portal:renamed"));
  };
  form.addEventListener("close", close);
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    event.stopPropagation();
    if (input.value === name) return close();
    const id = idOf(row);
    problem.textContent = await post(renameAddress(row), [["name", input.value], ["exactly", "y"]]);
    // Its row went, and the form with it.
    if (problem.textContent && !form.isConnected) return tellProblem(problem.textContent);
    input.toggleAttribute("aria-invalid", problem.textContent !== "");
    const renamed = rows().find((one) => idOf(one) === id);
    if (!problem.textContent) (renamed ? linkOf(renamed) : document.getElementById("main")).focus();
    else input.focus();
  });
  form.addEventListener("keydown", (event) => {
    event.stopPropagation();
    if (event.key === "Escape") close();
  });
  form.querySelector("[type=button]").addEventListener("click", close);
  input.setAttribute("aria-label", gettext("New name of %(name)s", { name }));
  input.value = name;
  link.hidden = true;
  link.after(form);
  input.focus();
  // The part that people change: the end tells the type.
  const end = isFolder(row) ? -1 : name.search(ENDING);
  input.setSelectionRange(0, end > 0 ? end : name.length);
}
