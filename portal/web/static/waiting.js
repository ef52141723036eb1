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

/** @returns {Promise<File[]>} what waits, unless it is too old, and is forgotten now */
export async function waiting() {
  const found = await withStore("readonly", (store) => done(store.get("waiting")));
  if (!found) return [];
  // A clock may have been set back, too.
  if (Math.abs(Date.now() - found.at) < PATIENCE) return found.files;
  await forget();
  return [];
}

/** Delete what waits. */
export function forget() {
  return withStore("readwrite", (store) => done(store.clear()));
}
