/**
 * Small pictures in a list. The portal makes one when it is first asked for: until it is there, and
 * where there is none, the icon stays.
 */

const PICTURES = ".thumb img";
/** Seconds after which to ask again for one that is being made. */
const WAITS = [1, 2, 4, 8, 16];
/** Seconds between all later times: others may have many that are being made. */
const SLOWLY = 60;
const asked = new WeakMap();

function failed(picture) {
  picture.hidden = true;
  const tries = asked.get(picture) ?? 0;
  setTimeout(askAgain, (WAITS[tries] ?? SLOWLY) * 1000, picture, tries + 1);
}

async function askAgain(picture, tries) {
  if (!picture.isConnected) return;
  if (document.hidden) return failed(picture); // it asks when somebody looks
  asked.set(picture, tries);
  // What failed would be answered from memory.
  const answer = await fetch(picture.src, { cache: "no-cache" }).catch(() => null);
  if (answer?.status === 202 || !answer) failed(picture);
  else if (answer.ok) show(picture);
}

function show(picture) {
  picture.loading = "eager"; // nobody can scroll to what is hidden
  picture.addEventListener("load", () => (picture.hidden = false), { once: true });
  picture.src = picture.getAttribute("src");
}

/** What failed before this script ran. */
function begin() {
  for (const picture of document.querySelectorAll(PICTURES)) {
    if (picture.complete && !picture.naturalWidth && !asked.has(picture)) failed(picture);
  }
}

document.addEventListener(
  "error",
  ({ target }) => target instanceof Element && target.matches(PICTURES) && failed(target),
  true,
);
document.addEventListener("portal:page", begin);
begin();
