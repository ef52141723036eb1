/**
 * While something is uploaded, other pages are shown in the place of this one instead of leaving it.
 * Where the browser has no Navigation API, it warns before it leaves.
 */

/** Addresses that answer with a file, or end the session. */
const NO_PAGE =
  /^\/files\/[^/]+(\/preview)?$|^\/(receive|static)\/|\/zip$|\/versions\/[\w-]+$|\.csv$|^\/sign-out$/;

/** Part of every page; its address changes with each version of the portal. */
const MAIN_SCRIPT = "head script[src$='/page.js']";

/** @param {() => boolean} isNeeded whether this page has to stay */
export function keepOnNavigation(isNeeded) {
  window.navigation?.addEventListener("navigate", (event) => {
    if (isNeeded() && canBeKept(event)) event.intercept({ handler: () => show(event) });
  });
}

function canBeKept(event) {
  return (
    event.canIntercept &&
    !isOver(event) &&
    !event.hashChange &&
    event.downloadRequest === null &&
    event.navigationType !== "reload" &&
    !NO_PAGE.test(new URL(event.destination.url).pathname)
  );
}

/** Whether the viewer, or something else, opens or closes over the page that is there. */
function isOver(event) {
  return event.destination.sameDocument && listOf(location.href) === listOf(event.destination.url);
}

function listOf(address) {
  const url = new URL(address);
  url.searchParams.delete("view");
  return url.href;
}

/**
 * Offer to reload the page, if another one is of another version of the portal: the scripts and
 * styles that are loaded are not made for it. What the tray has would be lost without asking.
 */
export function noteVersion(page) {
  const [loaded, other] = [document, page].map((one) => one.querySelector(MAIN_SCRIPT)?.src);
  if (other && other !== loaded) document.querySelector("#tray .updated").hidden = false;
}

async function show(event) {
  const options = event.formData ? { method: "POST", body: body(event.formData) } : {};
  const response = await fetch(event.destination.url, { ...options, signal: event.signal });
  if (!response.headers.get("Content-Type")?.startsWith("text/html")) {
    location.assign(event.destination.url);
    return;
  }
  const page = new DOMParser().parseFromString(await response.text(), "text/html");
  noteVersion(page);
  if (response.redirected) history.replaceState(null, "", response.url);
  for (const part of ["header.bar", "main", "footer.storage"]) {
    const [old, fresh] = [document.querySelector(part), page.querySelector(part)];
    if (fresh) fresh.lang = page.documentElement.lang; // the tray goes on in that of this page
    if (old) old.replaceWith(fresh ?? "");
    else if (fresh) document.body.append(fresh); // nobody was signed in on the page before
  }
  document.title = page.title;
  document.querySelector("main [autofocus]")?.focus();
  document.dispatchEvent(new Event("portal:page"));
}

/** Forms without files are sent as the browser sends them. */
function body(formData) {
  const fields = [...formData];
  return fields.some(([, value]) => value instanceof File) ? formData : new URLSearchParams(fields);
}
