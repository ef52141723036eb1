/** Deletes what waits in this browser for who has signed out, and the worker that keeps it. */

import { SCOPE, forget } from "./waiting.js";

export async function endSharing() {
  const registration = await navigator.serviceWorker?.getRegistration(SCOPE);
  await registration?.unregister();
  await forget();
}

// On the page that follows, too: the one before may have been left before its scripts ran.
if (document.querySelector(".note.signed-out")) endSharing().catch(() => {});
