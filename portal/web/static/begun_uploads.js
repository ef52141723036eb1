/** Uploads that were begun in this browser, whichever tab: what tus-js-client keeps until each is complete. */

import { notedOf } from "./sent_pieces.js";

const PREFIX = "tus::";

/**
 * Return all that there are now, with what was noted of their pieces.
 * @returns {{uploadUrl: string, urlStorageKey: string, noted: object | null}[]}
 */
export function begunUploads() {
  try {
    const keys = Object.keys(localStorage).filter((key) => key.startsWith(PREFIX));
    return keys.map(read);
  } catch {
    return []; // what cannot be read keeps nobody from uploading
  }
}

function read(key) {
  const begun = JSON.parse(localStorage.getItem(key));
  return { ...begun, urlStorageKey: key, noted: notedOf(begun.uploadUrl) };
}

/** Return the one with a fingerprint, if there is one. */
export function withFingerprint(begun, fingerprint) {
  return begun.find((one) => one.urlStorageKey.startsWith(`${PREFIX}${fingerprint}::`));
}
