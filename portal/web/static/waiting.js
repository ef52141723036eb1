/**
 * Files that another app has sent to the portal, which wait in this browser for a tap on the page: any
 * site may send some. Each time, they take the place of those that waited before.
 */

/** The pages that the worker answers for. */
export const SCOPE = "/receive/";

const STORE = "files";
/** Milliseconds after which they are forgotten. */
const PATIENCE = 60 * 60 * 1000;

/** Do something with the store, and wait until that is done. */
async function withStore(mode, act) {
  const opening = indexedDB.open("portal-waiting", 1);
  opening.onupgradeneeded = () => opening.result.createObjectStore(STORE);
  const database = await done(opening);
  try {
    const transaction = database.transaction(STORE, mode);
    const finished = new Promise((resolve, reject) => {
      transaction.oncomplete = resolve;
      transaction.onabort = () => reject(transaction.error);
    });
    const [result] = await Promise.all([act(transaction.objectStore(STORE)), finished]);
    return result;
  } finally {
    database.close();
  }
}

function done(request) {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
}

/** @param {File[]} files */
export function keep(files) {
  return withStore("readwrite", (store) => done(store.put({ files, at: Date.now() }, "waiting")));
}

/**
 * What waits, and since when, unless it is too old, and is forgotten now.
 * @returns {Promise<{files: File[], at: number}>}
 */
export async function waiting() {
  const nothing = { files: [], at: 0 };
  const found = await withStore("readonly", (store) => done(store.get("waiting")));
  if (!found) return nothing;
  // A clock may have been set back, too.
  if (Math.abs(Date.now() - found.at) < PATIENCE) return found;
  await forget();
  return nothing;
}

/**
 * Have only some of the files wait on that have waited since a time; not others that came later.
 * @param {{files: File[], at: number}} left
 */
export function keepOnly({ files, at }) {
  return withStore("readwrite", async (store) => {
    const found = await done(store.get("waiting"));
    if (found?.at !== at) return;
    await done(files.length ? store.put({ files, at }, "waiting") : store.clear());
  });
}

/** Delete what waits. */
export function forget() {
  return withStore("readwrite", (store) => done(store.clear()));
}
