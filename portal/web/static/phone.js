/**
 * What an installed portal needs in the browser of who is signed in: the worker that keeps files that
 * apps send, and its end, with whatever waits, when they sign out.
 */

import { endSharing } from "./signed_out.js";
import { SCOPE, waiting } from "./waiting.js";

/** Milliseconds that signing out waits for this at most; the next page tries again. */
const PATIENCE = 2000;

const worker = new URL("share_worker.js", import.meta.url);
const options = { scope: SCOPE, type: "module", updateViaCache: "none" };
navigator.serviceWorker?.register(worker, options).catch(() => {});
waiting().catch(() => {}); // which forgets what is too old

document.addEventListener("submit", async (event) => {
  if (!event.target.matches("form.who")) return;
  event.preventDefault();
  const late = new Promise((resolve) => setTimeout(resolve, PATIENCE));
  await Promise.race([endSharing().catch(() => {}), late]);
  event.target.submit();
});
