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

  /** Hear what was noted of an upload, and what other tabs note from now on. */
  watch(url, noted = notedOf(url)) {
    if (this.#url === url) return;
    this.#url = url;
    this.#hear(noted);
    addEventListener("storage", (event) => {
      if (event.key === key(url)) this.#hear(parsed(event.newValue ?? event.oldValue));
    });
  }

  /**
   * Note what is about to be sent. Over HTTP, where browsers have no digests, nothing is noted.
   * @param {string} url of the upload
   * @param {number} offset where the request begins
   * @param {number} most bytes that it sends, unless the file ends before
   * @returns {Promise<boolean>} whether all that was noted is of this file: another tab may send, too
   */
  async note(url, offset, most) {
    if (!crypto.subtle) return true;
    const size = notedOf(url)?.size ?? most; // the setting may have changed since
    const end = Math.ceil(Math.min(offset + most, this.file.size) / size);
    const own = new Map();
    for (let n = Math.floor(offset / size); n < end; n++) own.set(n, await this.#digest(n, size));
    const digests = notedOf(url)?.digests ?? [];
    for (const [n, one] of own) digests[n] ??= one;
    try {
      localStorage.setItem(key(url), JSON.stringify({ size, digests }));
    } catch {
      forget(url); // there is no room
    }
    this.#hear({ size, digests });
    return this.#areHeard();
  }

  /**
   * Return whether the file has all the pieces that were noted of an upload.
   * @param {number} arrived bytes: where nothing was noted of some, nobody knows whose they are
   */
  async are(noted, arrived) {
    if (!crypto.subtle) return true;
    const { size, digests } = noted ?? { size: 1, digests: [] };
    const count = Math.ceil((arrived ?? 0) / size);
    if (digests.slice(0, count).filter(Boolean).length < count) return false;
    for (const [piece, one] of digests.entries()) {
      if (one && one !== (await this.#digest(piece, size))) return false;
    }
    return true;
  }

  /**
   * Return whether an upload that is complete is of this file, whoever has sent what.
   * @param {boolean} isLastOwn whether the server has said that what it had last came from here
   */
  async areAll(isLastOwn) {
    if (!crypto.subtle) return true;
    const isCovered = this.#heard.size >= Math.ceil(this.file.size / this.#size);
    return (isLastOwn || isCovered) && this.#areHeard();
  }

  /** Have the file read anew. */
  readAgain() {
    this.#digests.clear();
  }

  #url;
  /** Bytes of a piece, and the digests of each that were noted here or in other tabs. */
  #size = 1;
  #heard = new Map();
  #digests = new Map();

  #hear(noted) {
    this.#size = noted?.size ?? this.#size;
    for (const [piece, one] of noted?.digests.entries() ?? []) {
      if (one) this.#heard.set(piece, (this.#heard.get(piece) ?? new Set()).add(one));
    }
  }

  async #areHeard() {
    for (const [piece, noted] of this.#heard) {
      if (noted.size > 1 || !noted.has(await this.#digest(piece, this.#size))) return false;
    }
    return true;
  }

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
