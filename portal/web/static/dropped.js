/** What somebody drops on a page. */

/**
 * Return what was dropped: files, and folders with all that is in them.
 * @param {DataTransfer} dropped
 * @returns {Promise<{file: File | null, path: string}[]>} each with its path in a dropped folder, or
 *   ""; a folder that holds nothing has no file
 */
export async function filesOf(dropped) {
  // Now: after the first await, the browser has forgotten what was dropped.
  const entries = Array.from(dropped.items, (item) => item.webkitGetAsEntry?.()).filter(Boolean);
  if (!entries.length) return Array.from(dropped.files, (file) => ({ file, path: "" }));
  return (await Promise.all(entries.map((entry) => walk(entry)))).flat();
}

async function walk(entry) {
  const path = entry.fullPath.replace(/^\//, "");
  if (entry.isFile) {
    const file = await new Promise((resolve, reject) => entry.file(resolve, reject));
    return [{ file, path: path.includes("/") ? path : "" }];
  }
  const reader = entry.createReader();
  const found = [];
  for (;;) {
    // A folder's entries come in portions, and an empty one at its end.
    const portion = await new Promise((resolve, reject) => reader.readEntries(resolve, reject));
    if (!portion.length) return found.length ? found : [{ file: null, path }];
    for (const inner of portion) found.push(...(await walk(inner)));
  }
}
