/** What pages ask of the server besides tus-js-client's own requests, and what refusals mean. */

import { gettext } from "./text.js";

const VERSION = { "Tus-Resumable": "1.0.0" };
/** What may be better in a moment: no answer, another request at work, a server that starts again. */
export const PASSING = new Set([0, 409, 423, 500, 502, 503, 504]);
/** What another session may have caused: a form's token that is not its own, or none at all. */
export const STRANGE = new Set([400, 401]);

/**
 * Ask for the form's token of the session that the browser has now.
 * @param {DOMStringMap} settings gets the token
 * @returns {Promise<{account: string} | undefined>} who may upload: an account, or "" for a visitor
 */
export async function renewToken(settings) {
  const answer = await fetch(settings.endpoint, { method: "OPTIONS" }).catch(() => undefined);
  const token = answer?.headers.get("X-CSRFToken");
  if (!token) return undefined;
  settings.token = token;
  return { account: decodeURIComponent(answer.headers.get("X-Account") ?? "") };
}

/** Headers that say which session a request is of, and whose the page is, unless a visitor's. */
export function sessionHeaders(settings, account) {
  const headers = { "X-CSRFToken": settings.token };
  return account ? { ...headers, "X-Account": encodeURIComponent(account) } : headers;
}

/** Return how many bytes of an upload have arrived, or undefined, where the server does not say. */
export async function arrivedOf(url, settings, account) {
  const headers = { ...VERSION, ...sessionHeaders(settings, account) };
  const answer = await fetch(url, { method: "HEAD", headers }).catch(() => undefined);
  return answer?.ok ? Number(answer.headers.get("Upload-Offset")) : undefined;
}

/** Cancel an upload that another page has begun. */
export async function cancelUpload(url, settings) {
  await renewToken(settings);
  const headers = { ...VERSION, ...sessionHeaders(settings) };
  await fetch(url, { method: "DELETE", headers }).catch(() => {});
}

/**
 * Cancel an upload that may be on its way in a request whose answer nobody waits for: the server
 * remembers that by its metadata.
 * @returns {Promise<boolean>} whether it was stored before
 */
export async function cancelUnanswered({ metadata, size, account }, settings) {
  const headers = { ...VERSION, ...sessionHeaders(settings, account) };
  const said = { "Upload-Length": size, "Upload-Metadata": written(metadata) };
  const request = { method: "POST", headers: { ...headers, ...said } };
  const answer = await persistently(settings.endpoint, request);
  if (!answer?.ok) return false;
  // Only what is not complete expires.
  if (!answer.headers.has("Upload-Expires")) return true;
  await persistently(answer.headers.get("Location"), { method: "DELETE", headers });
  return false;
}

/** Ask until something answers, for a while. */
async function persistently(address, request) {
  for (const delay of [0, 1000, 3000, 5000, 10000]) {
    await new Promise((resolve) => setTimeout(resolve, delay));
    const answer = await fetch(address, request).catch(() => undefined);
    if (!PASSING.has(answer?.status ?? 0)) return answer;
  }
}

/** An answer that refuses, as tus-js-client hands it on. */
export class Refusal extends Error {
  constructor(response) {
    super(`refused with ${response.getStatus()}`);
    this.response = response;
  }
}

/**
 * Create a folder that holds nothing, and those around it.
 * @returns {Promise<string>} its path, if that is another one; else ""
 * @throws {Refusal}
 */
export async function createFolder(metadata, settings, account) {
  const headers = { ...VERSION, ...sessionHeaders(settings, account) };
  const answer = await fetch(`${settings.endpoint}folders/`, {
    method: "POST",
    headers: { ...headers, "Upload-Metadata": written(metadata) },
  }).catch(() => undefined);
  if (answer?.ok) return storedName(answer.headers.get("Stored-Name"));
  const body = await answer?.text();
  throw new Refusal({ getStatus: () => answer?.status ?? 0, getBody: () => body });
}

/**
 * Send whole files in one request.
 * @param {{file: File, metadata: object}[]} uploads
 * @param {AbortSignal} signal
 * @returns {Promise<string[] | number>} for each the path that it got, if that is another one, or "";
 *   or the status of what refused them, which keeps none
 */
export async function sendGroup(uploads, account, settings, signal) {
  const body = new FormData();
  for (const { file, metadata } of uploads) {
    body.append("metadata", written(metadata));
    body.append("file", file);
  }
  const request = { method: "POST", headers: sessionHeaders(settings, account), body, signal };
  const answer = await fetch(`${settings.endpoint}groups/`, request);
  return answer.ok ? answer.json() : answer.status;
}

/** Write metadata as tus-js-client does. */
function written(metadata) {
  return Object.entries(metadata)
    .map(([key, value]) => `${key} ${base64(value)}`)
    .join(",");
}

/** Read the header that names another path than the one that was asked for. */
export function storedName(header) {
  return decodeURIComponent(header ?? "");
}

/** Write text in base64, as UTF-8. */
function base64(text) {
  return btoa(String.fromCharCode(...new TextEncoder().encode(text)));
}

function responseOf(error) {
  return error.originalResponse ?? (error.causingError ?? error).response;
}

/** Return the status that an upload failed with; 0 if nothing answered. */
export function statusOf(error) {
  return responseOf(error)?.getStatus() ?? 0;
}

/**
 * Return what to say of an upload.
 * @param {string} account whose it is; a visitor's: ""
 * @param {string} signedIn the account that is signed in, or ""
 */
export function problemOf(error, account, signedIn) {
  const status = statusOf(error);
  if (status === 0) {
    const isOurs = !error.originalRequest && !responseOf(error);
    if (isOurs) return error.message;
    return gettext("The connection was lost, and trying again did not help. Retry when it is back.");
  }
  if (status === 401) {
    if (!account) return gettext("Open the link that you were sent again, and then retry.");
    if (!signedIn) return gettext("You are signed out. Sign in again, and the upload resumes.");
    return gettext(
      "%(other)s is signed in now. Sign out, sign in as %(account)s, and the upload resumes.",
      { account, other: signedIn },
    );
  }
  const said = responseOf(error).getBody()?.trim();
  // An answer to HEAD has no words.
  if (status === 403 && !said) {
    if (!account) return gettext("Open the link again, do what its page asks for, and then retry.");
    return gettext("The folder is in the trash. Restore it, and then retry: what has arrived is kept.");
  }
  if (said && !said.startsWith("<")) return said;
  return gettext("The server answered %(status)s. Retry later.", { status });
}
