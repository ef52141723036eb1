/** The files that the viewer goes through: those of the list on the page, and of the pages beside it. */

import { gettext, number } from "./text.js";

const LINKS = "main a[data-view-type]";

/** Pages of the list that were fetched, on each side the nearest first. */
const beyond = { prev: [], next: [] };
/** What was loaded of files, by their ids. */
const loaded = new Map();

export const isFile = (element) => element?.matches("a[data-view-type]");
export const idOf = (link) => new URL(link.href).pathname.split("/")[2];
/** The link to a file in the list, as far as that is known; in the list on the page, if it is there. */
export const linkOf = (id) => allLinks(document, ...beyond.prev, ...beyond.next).find((link) => idOf(link) === id);

/** Forget the pages beside the one that is open: it is another one now. */
export function forgetPages() {
  for (const pages of Object.values(beyond)) pages.length = 0;
}

function allLinks(...pages) {
  return pages.flatMap((page) => [...page.querySelectorAll(LINKS)]);
}

function furthest(side) {
  return beyond[side].at(-1) ?? document;
}

const further = (side) => furthest(side).querySelector(`nav.pages a[rel=${side}]`)?.href;

/**
 * Return a file's place in the list: the links beside it, and its position in words.
 * @param {string} id
 */
export function placeOf(id) {
  const links = allLinks(...beyond.prev.toReversed(), document, ...beyond.next);
  const at = links.findIndex((link) => idOf(link) === id);
  if (at < 0) return null;
  // Of a list that begins or goes on elsewhere, nobody has counted the files.
  const isWhole = !further("prev") && !further("next");
  return {
    prev: links[at - 1],
    next: links[at + 1],
    first: links[0],
    last: links.at(-1),
    position: isWhole
      ? gettext("%(at)s of %(all)s", { at: number(at + 1), all: number(links.length) })
      : "",
  };
}

/** Where a file is the last of what is known of the list, fetch the page beside that. */
export async function extend(id) {
  for (const side of ["prev", "next"]) {
    const place = placeOf(id);
    const address = further(side);
    if (!place || place[side] || !address) continue;
    const response = await fetch(address);
    if (response.ok && !response.redirected) beyond[side].push(parse(await response.text()));
  }
}

/**
 * Load what the page of a file shows.
 * @param {string} id
 * @param {HTMLAnchorElement} [link] the file's, in a list
 */
export function load(id, link) {
  if (!loaded.has(id)) {
    const loading = fetchFile(link?.href ?? `/files/${id}/view${location.search}`);
    loaded.set(id, loading);
    loading.catch(() => loaded.delete(id));
  }
  return loaded.get(id);
}

/** Keep what was loaded of these files, and of no others. */
export function keepOnly(ids) {
  for (const id of [...loaded.keys()]) if (!ids.includes(id)) loaded.delete(id);
}

async function fetchFile(address) {
  const response = await fetch(address);
  // To sign in, or to the details of what was renamed.
  if (response.redirected) return { elsewhere: response.url };
  const article = parse(await response.text()).querySelector("article.viewer");
  if (!article) throw new Error(response.status === 404 ? GONE : FAILED);
  document.adoptNode(article);
  for (const picture of article.querySelectorAll("img")) {
    picture.src = picture.getAttribute("src"); // which loads it, before it is shown
  }
  return { article, parts: partsOf(article) };
}

/** The nodes of each part, which stay together when they leave the page. */
function partsOf(article) {
  const parts = {};
  for (const part of article.querySelectorAll("[data-part]")) {
    const { href, childNodes } = part;
    parts[part.dataset.part] = href ? { href } : { nodes: [...childNodes] };
  }
  return parts;
}

const parse = (text) => new DOMParser().parseFromString(text, "text/html");

export const GONE = gettext("This file is not there any more.");
export const FAILED = gettext("The file cannot be loaded now. Check the connection, and try again.");
