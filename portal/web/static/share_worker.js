/**
 * Keeps the files that an app sends to the portal by the phone's sharing, until somebody taps: see
 * waiting.js. It answers that one request, and no other: it keeps no page and no file of the portal.
 */

import { SCOPE, keep } from "./waiting.js";

self.addEventListener("install", () => self.skipWaiting());
self.addEventListener("fetch", (event) => {
  const { method, url } = event.request;
  if (method !== "POST" || new URL(url).pathname !== `${SCOPE}files`) return;
  event.respondWith(take(event.request));
});

async function take(request) {
  try {
    const files = (await request.formData()).getAll("file");
    await keep(files.filter((one) => one instanceof File && one.name));
    return Response.redirect(SCOPE, 303);
  } catch {
    return Response.redirect(`${SCOPE}?again=1`, 303);
  }
}
