/** Asks what to do with files whose names are taken, before they are uploaded. */

import { ngettext } from "./text.js";
import { STRANGE, renewToken, sessionHeaders } from "./upload_requests.js";

/** Characters of names in one request, and how many: it is a form, which has limits for both. */
const MOST_CHARACTERS = 30_000;
const MOST_NAMES = 500;
/** Milliseconds to wait for an answer; without one, both are kept. */
const PATIENCE = 10_000;

/** Only one question is asked at a time. */
let asked = Promise.resolve();

/**
 * Ask about each file whose name is taken, or once for all.
 * @param {{file: File | null, path: string}[]} files
 * @param {{target: string, account: string}} form
 * @param {DOMStringMap} settings of the tray
 * @returns {Promise<{file: File | null, path: string, replaces?: boolean, isAsked?: boolean}[]>} those
 *   to upload; of others, isUndecided says that the question was closed without an answer
 */
export async function decide(files, form, settings) {
  const taken = await takenOf(files, form, settings).catch(() => new Set());
  if (!taken.size) return files;
  const answer = asked.then(() => ask(files, taken));
  asked = answer;
  return answer;
}

/** Return the files whose names are taken where they would go. */
export async function takenOf(files, form, settings) {
  const taken = new Set();
  for (const some of portions(files.filter(({ file }) => file))) {
    const answers = await request(some.map(pathOf), form, settings);
    for (const [n, isTaken] of answers.entries()) if (isTaken) taken.add(some[n]);
  }
  return taken;
}

const pathOf = ({ file, path }) => path || file.name;

function* portions(files) {
  let some = [];
  let length = 0;
  for (const one of files) {
    const more = encodeURIComponent(pathOf(one)).length + 6;
    if (some.length && (length + more > MOST_CHARACTERS || some.length === MOST_NAMES)) {
      yield some;
      [some, length] = [[], 0];
    }
    some.push(one);
    length += more;
  }
  if (some.length) yield some;
}

async function request(paths, { target, account }, settings) {
  const send = () => {
    const body = new URLSearchParams(paths.map((path) => ["path", path]));
    body.append("folder", target.split("/")[1]);
    const headers = sessionHeaders(settings, account);
    const signal = AbortSignal.timeout(PATIENCE);
    return fetch(dialog().dataset.endpoint, { method: "POST", headers, body, signal });
  };
  let answer = await send();
  if (STRANGE.has(answer.status) && (await renewToken(settings))) answer = await send();
  return answer.ok ? answer.json() : [];
}

const dialog = () => document.getElementById("taken-names");

async function ask(files, taken) {
  const skipped = new Set();
  let [answer, isForAll] = ["", false];
  for (const [n, one] of [...taken].entries()) {
    if (!isForAll) [answer, isForAll] = await askAbout(one, taken.size - n - 1);
    if (answer === "replace") one.replaces = true;
    if (answer === "skip" || !answer) skipped.add(one);
    one.isUndecided = !answer;
    one.isAsked = true;
  }
  return files.filter((one) => !skipped.has(one));
}

/** Ask about one file, and return the answer, and whether it is for the others, too. */
function askAbout(file, others) {
  const [asking, all] = [dialog(), dialog().querySelector("[data-all]")];
  asking.querySelector("[data-name]").textContent = pathOf(file);
  all.hidden = others === 0;
  all.querySelector("span").textContent = ngettext(
    "Do the same for the other file whose name is taken",
    "Do the same for the other %(num)s files whose names are taken",
    others,
  );
  all.querySelector("input").checked = true;
  asking.returnValue = "";
  asking.showModal();
  return new Promise((resolve) => {
    const answered = () =>
      resolve([asking.returnValue, all.querySelector("input").checked]);
    asking.addEventListener("close", answered, { once: true });
  });
}
