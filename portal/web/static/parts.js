/** Parts of a page that a newer copy of it replaces. */

/** Who is signed in as a page says it, in whatever language. */
export const signedIn = (page) => page.querySelector("form.who")?.dataset.account;

/** Replace a part by that of a page that is newer, and keep the focus. */
export function replacePart(id, page) {
  const [old, fresh] = [document.getElementById(id), page.getElementById(id)];
  if (!old || !fresh) return;
  const focused = old.contains(document.activeElement) ? document.activeElement : null;
  old.replaceWith(fresh);
  if (!focused) return;
  const same = [...fresh.querySelectorAll(focused.localName)].find(
    (one) => one.getAttribute("href") === focused.getAttribute("href") && one.value === focused.value,
  );
  (same ?? document.getElementById("main")).focus({ preventScroll: true });
}

/** Replace parts by their ids; what is selected stays selected. */
export function replaceParts(ids, page) {
  const selected = [...document.querySelectorAll("[name=entry]:checked")].map((box) => box.value);
  for (const id of ids) replacePart(id, page);
  for (const box of document.querySelectorAll("[name=entry]")) {
    box.checked ||= selected.includes(box.value);
  }
  document.dispatchEvent(new Event("portal:page"));
}
