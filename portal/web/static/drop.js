/** What is dropped on a page: files, and folders with all that is in them. */

/**
 * @param {DataTransfer} dropped
 * @returns {Promise<{file: File, path: string}[]>} each with its path in a dropped folder, or ""
 */
export async function filesOf(dropped) {
  // Now: after the first await, the browser has forgotten what was dropped.
  const entries = Array.from(dropped.items, (item) => item.webkitGetAsEntry?.()).filter(Boolean);
  if (!entries.length) return Array.from(dropped.files, (file) => ({ file, path: "" }));
  return (await Promise.all(entries.map((entry) => walk(entry)))).flat();
}

async function walk(entry) {
  if (entry.isFile) {
    const file = await new Promise((resolve, reject) => entry.file(resolve, reject));
    const path = entry.fullPath.replace(/^\//, "");
    return [{ file, path: path.includes("/") ? path : "" }];
  }
  const found = [];
  for (const inner of await entriesOf(entry)) found.push(...(await walk(inner)));
  return found;
}

/** A reader gives a folder's entries in portions, and an empty one at its end. */
async function entriesOf(folder) {
  const reader = folder.createReader();
  const all = [];
  for (;;) {
    const portion = await new Promise((resolve, reject) => reader.readEntries(resolve, reject));
    if (!portion.length) return all;
    all.push(...portion);
  }
}
