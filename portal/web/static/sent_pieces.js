/**
 * Digests of the pieces of a file that were sent: by them an upload that goes on in another page knows
 * its file again. Name, size and time do not tell it: some programs change a file and keep all three.
 */

const PREFIX = "portal-pieces";
/** Bytes that are in memory at once. */
const BLOCK = 4 * 1024 * 1024;

/**
 * Note a piece that is about to be sent. Over HTTP, where browsers have no digests, nothing is noted.
 * @param {string} url of the upload
 * @param {number} offset where the request begins, in the piece
 * @param {number} size of a piece, in bytes
 */
export async function note(url, file, offset, size) {
  if (!crypto.subtle) return;
  const known = notedOf(url);
  const digests = known?.size === size ? known.digests : [];
  const piece = Math.floor(offset / size);
  digests[piece] ??= await digest(file, piece * size, size);
  try {
    localStorage.setItem(key(url), JSON.stringify({ size, digests }));
  } catch {
    forget(url); // there is no room
  }
}

/** Return what was noted of an upload, or null. */
export function notedOf(url) {
  return crypto.subtle ? JSON.parse(localStorage.getItem(key(url))) : null;
}

/** Return whether a file has all the pieces that were noted of an upload. */
export async function areOf(noted, file) {
  const { size, digests } = noted ?? { digests: [] };
  for (const [piece, one] of digests.entries()) {
    if (one && one !== (await digest(file, piece * size, size))) return false;
  }
  return true;
}

export function forget(url) {
  localStorage.removeItem(key(url));
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
