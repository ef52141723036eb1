/** Uploads that were begun in this browser, whichever tab: kept for tus-js-client until each is complete. */

import { notedOf } from "./sent_pieces.js";
import { arrivedOf } from "./upload_requests.js";

const PREFIX = "tus::";

/** Where tus-js-client keeps them: a browser that keeps nothing uploads, and resumes in this page only. */
export const begunStorage = {
  async addUpload(fingerprint, { uploadUrl }) {
    const key = `${PREFIX}${fingerprint}::${crypto.getRandomValues(new Uint32Array(1))[0]}`;
    attempt(() => localStorage.setItem(key, JSON.stringify({ uploadUrl })));
    return key;
  },
  async removeUpload(key) {
    attempt(() => localStorage.removeItem(key));
  },
};

/**
 * Return all that there are now, with what was noted of their pieces, but for what cannot be read.
 * @returns {{uploadUrl: string, urlStorageKey: string, noted: object | null}[]}
 */
export function begunUploads() {
  const keys = attempt(() => Object.keys(localStorage)) ?? [];
  return keys.filter((key) => key.startsWith(PREFIX)).flatMap((key) => attempt(() => read(key)) ?? []);
}

function read(key) {
  const { uploadUrl } = JSON.parse(localStorage.getItem(key));
  return { uploadUrl, urlStorageKey: key, noted: notedOf(uploadUrl) };
}

/**
 * Find what was begun of a very file, by a tab that was closed in the middle, or by another one.
 * @param {Upload} upload
 * @param {Pieces} pieces of its file
 * @returns {Promise<object | undefined>} as tus-js-client takes it; where isComplete, an account's has
 *   all bytes, and isSame says whether they are known to be this file's
 */
export async function begunBefore({ account, begun, fingerprint, settings, size }, pieces) {
  // A visitor is asked nothing: what is complete was stored.
  const all = account ? [...begunUploads(), ...begun] : begunUploads();
  const prefix = `${PREFIX}${fingerprint}::`;
  for (const one of all.filter(({ urlStorageKey }) => urlStorageKey.startsWith(prefix))) {
    const arrived = await arrivedOf(one.uploadUrl, settings, account);
    const isComplete = arrived === size && account !== "";
    const isSame = await pieces.are(one.noted, arrived);
    if (isComplete || isSame) return { ...one, isComplete, isSame };
  }
  return undefined;
}

/** Do something with what a browser may refuse to keep. */
function attempt(act) {
  try {
    return act();
  } catch {
    return undefined;
  }
}
