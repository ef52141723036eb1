/**
 * Digests of the pieces of a file that were sent: by them an upload that goes on in another page knows
 * its file again. Name, size and time do not tell it: some programs change a file and keep all three.
 */

const PREFIX = "portal-pieces";
/** Bytes that are in memory at once. */
const BLOCK = 4 * 1024 * 1024;

export class Pieces {
  /** @param {File} file */
  constructor(file) {
    this.file = file;
  }

  /** Hear what other tabs note of an upload from now on. */
  watch(url) {
    this.#noted = notedOf(url);
    addEventListener("storage", (event) => {
      if (event.key === key(url)) this.#noted = parsed(event.newValue ?? event.oldValue);
    });
  }

  /**
   * Note what is about to be sent. Over HTTP, where browsers have no digests, nothing is noted.
   * @param {string} url of the upload
   * @param {number} offset where the request begins
   * @param {number} size of what it sends at most, in bytes
   * @returns {Promise<boolean>} whether all that was noted is of this file: another tab may send, too
   */
  async note(url, offset, size) {
    if (!crypto.subtle) return true;
    const piece = notedOf(url)?.size ?? size; // the setting may have changed since
    const end = Math.min(offset + size, this.file.size);
    const [first, last] = [Math.floor(offset / piece), Math.ceil(end / piece) - 1];
    for (let n = first; n <= last; n++) await this.#digest(n, piece);
    const digests = notedOf(url)?.digests ?? [];
    for (let n = first; n <= last; n++) digests[n] ??= await this.#digest(n, piece);
    try {
      localStorage.setItem(key(url), JSON.stringify({ size: piece, digests }));
    } catch {
      forget(url); // there is no room
    }
    this.#noted = { size: piece, digests };
    this.#isLastNoted = end === this.file.size;
    return this.are({ size: piece, digests }, 0);
  }

  /**
   * Return whether the file has all the pieces that were noted of an upload.
   * @param {number} arrived bytes: where nothing was noted of some, nobody knows whose they are
   */
  async are(noted, arrived) {
    const { size, digests } = noted ?? { size: 1, digests: [] };
    const isNoted = (count) => digests.slice(0, count).filter(Boolean).length === count;
    if (arrived && crypto.subtle && !isNoted(Math.ceil(arrived / size))) return false;
    for (const [piece, one] of digests.entries()) {
      if (one && one !== (await this.#digest(piece, size))) return false;
    }
    return true;
  }

  /** Have the file read anew. */
  readAgain() {
    this.#digests.clear();
  }

  /** Return whether an upload that is complete is of this file, whoever has sent its last piece. */
  async areAll() {
    return this.#isLastNoted || this.are(this.#noted, this.file.size);
  }

  /** What was noted last, here or in another tab. */
  #noted = null;
  #isLastNoted = false;
  #digests = new Map();

  #digest(piece, size) {
    const start = piece * size;
    if (!this.#digests.has(start)) this.#digests.set(start, digest(this.file, start, size));
    return this.#digests.get(start);
  }
}

/** Return what was noted of an upload, or null. */
export function notedOf(url) {
  try {
    return crypto.subtle ? parsed(localStorage.getItem(key(url))) : null;
  } catch {
    return null;
  }
}

function parsed(text) {
  const noted = JSON.parse(text);
  return noted?.size > 0 && Array.isArray(noted.digests) ? noted : null;
}

export function forget(url) {
  try {
    localStorage.removeItem(key(url));
  } catch {
    // A browser that keeps nothing has nothing to forget.
  }
}

function key(url) {
  return `${PREFIX}/${new URL(url, location.href).pathname}`;
}

/** Return the digest of the digests of a piece's blocks, since a browser takes no piece by piece. */
async function digest(file, start, size) {
  const end = Math.min(start + size, file.size);
  const all = [];
  for (let at = start; at < end; at += BLOCK) {
    const block = await file.slice(at, Math.min(at + BLOCK, end)).arrayBuffer();
    all.push(...new Uint8Array(await crypto.subtle.digest("SHA-256", block)));
  }
  const whole = await crypto.subtle.digest("SHA-256", new Uint8Array(all));
  return btoa(String.fromCharCode(...new Uint8Array(whole)));
}
