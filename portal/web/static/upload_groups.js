/** Small files that go in one request: of a folder of many, each of their own would take most time. */

import { STRANGE, renewToken, sendGroup } from "./upload_requests.js";

const MOST_FILES = 64;
const MOST_BYTES = 1024 * 1024;
/** Milliseconds after which each goes by itself, with a connection that is watched. */
const PATIENCE = 60_000;

const folderOf = ({ path }) => path.slice(0, path.lastIndexOf("/") + 1);

/** Return the first of what waits, and what can go with it: to one folder, and not too much. */
export function firstGroup([first, ...others]) {
  const group = [first];
  let bytes = first.size;
  for (const one of first.isSmall ? others : []) {
    if (group.length === MOST_FILES) break;
    const isBeside = one.target === first.target && folderOf(one) === folderOf(first);
    if (!one.isSmall || !isBeside || bytes + one.size > MOST_BYTES) continue;
    group.push(one);
    bytes += one.size;
  }
  return group;
}

export class Group {
  /** @param {Upload[]} uploads of one folder */
  constructor(uploads) {
    this.uploads = uploads;
    // All at once: each that begins has the next ones begin.
    for (const upload of uploads) upload.group = this;
  }

  /** Send them, and have each go by itself where that fails. */
  async send() {
    for (const upload of this.uploads) upload.join();
    const timer = setTimeout(() => this.#controller.abort(), PATIENCE);
    const paths = await this.#ask().catch(() => undefined);
    clearTimeout(timer);
    for (const upload of this.uploads) upload.group = undefined;
    for (const [n, upload] of this.uploads.entries()) upload.leave(paths?.[n], this.#isStopped);
  }

  /** Send them no more, as one of them is not to be sent now. */
  stop() {
    this.#isStopped = true;
    this.#controller.abort();
  }

  #controller = new AbortController();
  #isStopped = false;

  async #ask() {
    const [{ account, settings }] = this.uploads;
    const send = () => sendGroup(this.uploads, account, settings, this.#controller.signal);
    let answer = await send();
    if (STRANGE.has(answer) && (await renewToken(settings))) answer = await send();
    return Array.isArray(answer) ? answer : undefined;
  }
}
