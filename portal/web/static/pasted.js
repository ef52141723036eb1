/** What somebody pastes on a page. */

import { gettext } from "./text.js";

const FIELDS = "input, textarea, [contenteditable]";
/** What browsers call a picture that has no name, such as a screenshot. */
const UNNAMED = /^image\.(\w+)$/;

/**
 * Return the files that were pasted: none where text was, or somebody types.
 * @param {ClipboardEvent} event
 */
export function pastedFiles(event) {
  const { types, files } = event.clipboardData;
  // Programs for texts and tables copy a picture of them besides.
  const isText = types.includes("text/rtf") || ["text/plain", "text/html"].every((one) => types.includes(one));
  if (isText || event.target.closest?.(FIELDS)) return [];
  return Array.from(files, (file) => ({ file: named(file), path: "" }));
}

function named(file) {
  const type = UNNAMED.exec(file.name)?.[1];
  if (!type) return file;
  const two = (number) => String(number).padStart(2, "0");
  const now = new Date();
  const day = [now.getFullYear(), two(now.getMonth() + 1), two(now.getDate())].join("-");
  // With seconds: two in a minute are two screenshots, and not one that replaces the other.
  const time = [now.getHours(), now.getMinutes(), now.getSeconds()].map(two).join(".");
  const name = gettext("Screenshot %(day)s %(time)s", { day, time });
  return new File([file], `${name}.${type}`, { type: file.type, lastModified: now.getTime() });
}
