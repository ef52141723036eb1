/** What the tray says of its uploads. */

import { gettext, ngettext, number } from "./text.js";

/** Say how far all uploads are. */
export function totals(uploads) {
  const count = (isCounted) => uploads.filter(isCounted).length;
  const done = count(({ state }) => state === "done");
  const failed = count(({ state }) => state === "failed");
  const all = number(uploads.length);
  const at = number(Math.min(done + 1, uploads.length));
  const values = { at, done: number(done), failed: number(failed), all };
  if (uploads.some((one) => one.isUnderWay)) {
    return failed
      ? gettext("Uploading %(at)s of %(all)s, %(failed)s failed", values)
      : gettext("Uploading %(at)s of %(all)s", values);
  }
  if (uploads.some((one) => one.isActive)) {
    return failed
      ? gettext("Paused, %(done)s of %(all)s uploaded, %(failed)s failed", values)
      : gettext("Paused, %(done)s of %(all)s uploaded", values);
  }
  return failed
    ? gettext("Uploaded %(done)s of %(all)s, %(failed)s failed", values)
    : gettext("Uploaded %(done)s of %(all)s", values);
}

/** Say that something is uploaded, or created. */
export function ended({ name, file, storedAs: stored }) {
  const values = { name, stored };
  if (file) {
    return stored
      ? gettext("%(name)s is uploaded, and stored as %(stored)s.", values)
      : gettext("%(name)s is uploaded.", values);
  }
  return stored
    ? gettext("%(name)s is created, and stored as %(stored)s.", values)
    : gettext("%(name)s is created.", values);
}

/** Say that an upload was cancelled. */
export function cancelled(name) {
  return gettext("The upload of %(name)s was cancelled.", { name });
}

/** Say that more is uploaded. */
export function added(count) {
  return ngettext(
    "%(num)s item added to the uploads.",
    "%(num)s items added to the uploads.",
    count,
  );
}
