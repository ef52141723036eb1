/** One upload in pieces, by tus-js-client, which goes on where it was whatever came between. */

import { begunBefore, begunStorage } from "./begun_uploads.js";
import { Pieces, forget } from "./sent_pieces.js";
import { gettext } from "./text.js";
import {
  PASSING,
  Refusal,
  STRANGE,
  cancelUnanswered,
  createFolder,
  problemOf,
  renewToken,
  sessionHeaders,
  statusOf,
  storedName,
} from "./upload_requests.js";

const RETRY_DELAYS = [0, 1000, 3000, 5000, 10000, 20000, 30000, 30000];
/** The only answers that mean that an upload is gone: tus-js-client takes each refusal for that. */
const GONE = new Set([404, 410]);
/**
 * Milliseconds without a byte after which a connection counts as dead: a phone that lost its network
 * hears nothing more. The server, which checks and keeps what has come whole, has longer to answer.
 */
const SILENCE = 30_000;
const SILENCE_AT_END = 300_000;
/** Bytes of a file that comes with the request that creates its upload: one instead of two. */
const SMALL = 256 * 1024;
const PREFIX = "portal-upload";

let library;

/** Load tus-js-client once somebody uploads: pages are light without it. */
function loadLibrary(address) {
  library ??= new Promise((resolve, reject) => {
    const script = document.createElement("script");
    script.src = address;
    script.onload = () => resolve(window.tus);
    script.onerror = () =>
      reject(new Error(gettext("The portal cannot be reached. Check the connection, and retry.")));
    document.head.append(script);
  });
  library.catch(() => (library = undefined));
  return library;
}

const newNonce = () => crypto.getRandomValues(new Uint32Array(4)).join("-");

class UnreadableError extends Error {}

/** Find out what the library takes for a lost connection. */
async function assertReadable(file) {
  await file.slice(0, 1).arrayBuffer().catch(() => {
    throw new UnreadableError(
      gettext("The file was changed or removed since it was chosen. Choose it again."),
    );
  });
}

export class Upload {
  /** @type {"queued" | "running" | "paused" | "done" | "failed" | "cancelled"} */
  state = "queued";
  problem = "";
  /** Whether it failed as nothing could be reached. */
  isCutOff = false;
  /** Whether it failed as its account was not signed in, and which one was instead, or "". */
  isSignedOut = false;
  signedIn = "";
  /** The path that it got, if a name on its own was taken. */
  storedAs = "";
  sent = 0;
  speed = 0;
  onchange = () => {};
  /** Called when the server has heard that it is cancelled, or else true: it was stored before. */
  oncancelled = () => {};
  /**
   * Called where what was begun is complete though its name was free: the file may be there by now, or
   * have been deleted since. Gives what to do: "replace", "keep" both, "skip", or nothing, as it is "stored".
   * @param {boolean} isSame whether it is known to be of this file's content
   */
  oncomplete = async (_isSame) => "keep";
  /** @type {Group | undefined} the small files that it is sent with */
  group;

  /**
   * @param {object} chosen
   * @param {File | null} chosen.file none: the path is a folder that holds nothing
   * @param {string} chosen.path where it lies in a folder that was dropped, or ""
   * @param {boolean} chosen.replaces whether it goes in the place of the file that has its name
   * @param {boolean} chosen.isAsked whether that was asked, since its name was taken
   * @param {{target: string, account: string}} form "folder/" or "request/" and the public id; whose
   *   folder it is, which no visitor is told
   * @param {DOMStringMap} settings endpoint, token, chunk (bytes), library
   * @param {object[]} begun the uploads that there were before the server was asked whether its name
   *   is taken: another tab may have completed one since then
   */
  constructor(chosen, { target, account = "" }, settings, begun) {
    const { file, path, replaces = false, isAsked = false } = chosen;
    Object.assign(this, { file, path, target, account, settings, replaces, isAsked, begun });
    this.#pieces = new Pieces(file);
    this.name = path || file.name;
    this.size = file?.size ?? 0;
  }

  get isActive() {
    return this.isUnderWay || this.state === "paused";
  }

  get isUnderWay() {
    return this.state === "queued" || this.state === "running";
  }

  /** Whether it goes on by itself once the network, or a session, is back. */
  get isWaiting() {
    return this.state === "failed" && (this.isCutOff || this.isSignedOut);
  }

  /** Whether it can go with others in one request: a visitor's is counted by itself. */
  get isSmall() {
    return this.file !== null && this.size <= SMALL && this.account !== "" && this.#isNew;
  }

  /** What a request says that creates it. */
  get metadata() {
    return {
      ...this.#place(),
      filename: this.file.name,
      nonce: this.#nonce,
      ...(this.path && { relativePath: this.path }),
      ...(this.replaces && { replace: "yes" }),
    };
  }

  /** What the server calls it, once it has begun. */
  get publicId() {
    return this.#tus?.url?.split("/").pop();
  }

  /** What makes a file the same as one whose upload was begun: where to, and which. */
  get fingerprint() {
    const { target, path, file } = this;
    const parts = [target, path || file.name, file.size, file.lastModified];
    if (this.replaces) parts.push("replaces");
    return [PREFIX, ...parts.map((part) => encodeURIComponent(part))].join("/");
  }

  /** Begin, or go on, if that is waited for. */
  async start() {
    if (this.state !== "queued") return;
    this.#isNew = false;
    this.#become("running");
    const turn = ++this.#turn;
    try {
      if (this.file) await this.#prepare();
      // Meanwhile it may have been paused, and resumed, which has a turn of its own.
      if (this.state === "running" && turn === this.#turn) await this.#go();
    } catch (error) {
      this.#fail(error);
    }
  }

  /** Be sent with others. */
  join() {
    this.#wasSent = true;
    this.#become("running");
  }

  /**
   * Be sent with others no more.
   * @param {string | undefined} path the one that it got, or ""; undefined: it was not stored
   * @param {boolean} isStopped whether another try may be with others, too
   */
  leave(path, isStopped) {
    if (this.state === "cancelled") {
      cancelUnanswered(this, this.settings).then(this.oncancelled);
    } else if (path === undefined) {
      this.#isNew &&= isStopped;
      if (this.state === "running") this.#become("queued");
    } else {
      this.storedAs = path;
      this.sent = this.size;
      this.#become("done");
    }
  }

  pause() {
    this.group?.stop();
    this.#abort();
    this.speed = 0;
    this.#become("paused");
  }

  /** Go on after a pause, or try again, when it is this one's turn. */
  resume() {
    this.problem = "";
    this.isCutOff = this.isSignedOut = this.#isRenewed = false;
    this.#pieces.readAgain(); // the file may have changed meanwhile, and not its size and time
    this.#become("queued");
  }

  async cancel() {
    this.#become("cancelled");
    // What the server does not hear of now is listed among unfinished uploads.
    if (this.group) {
      this.group.stop(); // and then it leaves
    } else if (this.#isCreating || this.#wasSent) {
      this.#stop();
      this.#isCreating = false;
      this.oncancelled(await cancelUnanswered(this, this.settings));
    } else {
      await this.#discard();
    }
  }

  #tus;
  #pieces;
  /** Whether it has not begun by itself. */
  #isNew = true;
  /** Whether it was sent with others, and may have been stored though nobody heard of it. */
  #wasSent = false;
  #turn = 0;
  /** How often it was stopped: what was being prepared to be sent before is not. */
  #stops = 0;
  /** With this, a request to create the upload can be repeated that was not answered. */
  #nonce = newNonce();
  #prepared;
  /** Whether the server has said that what it had last came from here. */
  #isLastOwn = false;
  /** Whether a request is under way whose answer has the upload's address. */
  #isCreating = false;
  #isRenewed = false;
  #heard;
  #watching;
  /** The time and the bytes sent when the speed was last measured. */
  #measured;

  #prepare() {
    this.#prepared ??= loadLibrary(this.settings.library).then(async (tus) => {
      await assertReadable(this.file);
      this.#tus = new tus.Upload(this.file, this.#options());
      const before = await begunBefore(this, this.#pieces);
      if (before?.isComplete) {
        begunStorage.removeUpload(before.urlStorageKey);
        forget(before.uploadUrl);
        await this.#decideAgain(before.isSame);
      } else if (before) {
        this.#pieces.watch(before.uploadUrl, before.noted);
        this.#tus.resumeFromPreviousUpload(before);
      }
    });
    this.#prepared.catch(() => (this.#prepared = undefined));
    return this.#prepared;
  }

  /** Do with what another tab has completed, or this one before it was closed, as there is to do. */
  async #decideAgain(isSame) {
    const asked = this.isAsked && (this.replaces ? "replace" : "keep");
    const answer = asked || (await this.oncomplete(isSame));
    if (answer === "skip") return this.state !== "cancelled" && this.cancel();
    if (answer === "stored") return this.#complete();
    this.replaces = answer === "replace";
    this.#renew();
    const tus = await loadLibrary(this.settings.library);
    this.#tus = new tus.Upload(this.file, this.#options());
  }

  async #go() {
    if (!this.file) {
      const metadata = { ...this.#place(), relativePath: `${this.path}/` };
      this.storedAs = await createFolder(metadata, this.settings, this.account);
      if (this.state === "running") this.#become("done");
      return;
    }
    this.#measured = undefined;
    this.#heard = performance.now();
    this.#watch();
    if (this.#isCreating) return; // it goes on with the answer
    this.#isCreating = !this.#tus.url;
    this.#tus.start();
  }

  /** Stop sending; a request that creates the upload is waited for, or nobody knew its address. */
  #abort() {
    if (!this.#isCreating) this.#stop();
  }

  #stop(isCancelled = false) {
    this.#stops++;
    return this.#tus?.abort(isCancelled);
  }

  /** Begin anew on a connection that is dead. */
  #watch() {
    clearInterval(this.#watching);
    this.#watching = setInterval(async () => {
      if (this.state !== "running") return clearInterval(this.#watching);
      const isPieceSent = this.sent > 0 && this.sent % this.settings.chunk === 0;
      const atEnd = this.sent === this.size || isPieceSent;
      if (performance.now() - this.#heard < (atEnd ? SILENCE_AT_END : SILENCE)) return;
      this.#heard = performance.now();
      this.speed = 0;
      this.#isCreating = false;
      await this.#stop();
      if (this.state === "running") this.#go();
    }, 1000);
  }

  #place() {
    const [kind, id] = this.target.split("/");
    return { [kind]: id };
  }

  #options() {
    return {
      endpoint: this.settings.endpoint,
      chunkSize: Number(this.settings.chunk),
      uploadDataDuringCreation: this.size <= SMALL,
      metadata: this.metadata,
      retryDelays: RETRY_DELAYS,
      removeFingerprintOnSuccess: true,
      fingerprint: async () => this.fingerprint,
      urlStorage: begunStorage,
      onBeforeRequest: async (request) => {
        if (request.getMethod() === "PATCH") await this.#notePiece(request);
        // The token may have been renewed since.
        const headers = sessionHeaders(this.settings, this.account);
        for (const [name, value] of Object.entries(headers)) request.setHeader(name, value);
      },
      onAfterResponse: (request, response) => {
        const status = response.getStatus();
        this.storedAs ||= storedName(response.getHeader("Stored-Name"));
        // Any other refusal says nothing of the upload: its address is kept.
        if (request.getMethod() === "HEAD" && status >= 400 && !GONE.has(status)) {
          throw new Refusal(response);
        }
      },
      onUploadUrlAvailable: () => {
        this.#isCreating = false;
        this.#pieces.watch(this.#tus.url);
        if (this.state === "paused" || this.state === "queued") this.#stop();
        if (this.state === "cancelled") this.#discard();
      },
      onShouldRetry: (error) => {
        this.#heard = performance.now();
        if (statusOf(error) === 0) assertReadable(this.file).catch((found) => this.#giveUp(found));
        return PASSING.has(statusOf(error));
      },
      onProgress: (sent) => this.#progress(sent),
      onChunkComplete: (_bytes, arrived) => {
        this.#isRenewed = false;
        this.#isLastOwn = arrived === this.size;
      },
      onSuccess: async () => {
        if (this.state === "cancelled") return;
        this.#isCreating = false;
        if (!this.account || (await this.#pieces.areAll(this.#isLastOwn))) return this.#complete();
        clearInterval(this.#watching); // somebody may think for long
        await this.#decideAgain(false);
        if (this.state === "running") this.#go();
      },
      onError: (error) => this.#fail(error),
    };
  }

  async #notePiece(request) {
    const stops = this.#stops;
    const offset = Number(request.getHeader("Upload-Offset"));
    const isOwn = await this.#pieces.note(request.getURL(), offset, Number(this.settings.chunk));
    if (!isOwn && stops === this.#stops) this.#beginAnew();
    if (stops !== this.#stops) await new Promise(() => {}); // the library has no request to stop yet
  }

  #complete() {
    if (this.state === "cancelled") return; // while it was found out
    this.sent = this.size;
    if (this.#tus.url) forget(this.#tus.url);
    this.#become("done");
  }

  /** Leave the upload to the other tab, which sends another file of that name, size and time. */
  #beginAnew() {
    this.#stop();
    this.#prepared = undefined;
    this.sent = this.speed = 0;
    this.#renew();
    this.#become("queued");
  }

  /** Be another upload than it was. */
  #renew() {
    this.#isLastOwn = false;
    this.#nonce = newNonce();
    this.#pieces = new Pieces(this.file);
  }

  async #discard() {
    const url = this.#tus?.url;
    await this.#stop(true)?.catch(() => {});
    if (url) forget(url);
    this.oncancelled();
  }

  /** Have the library not try again. */
  #giveUp(error) {
    this.#stop();
    this.#fail(error);
  }

  async #fail(error) {
    this.#isCreating = false;
    if (this.state !== "running") return;
    const status = statusOf(error);
    if (STRANGE.has(status) && !this.#isRenewed) {
      this.#isRenewed = true;
      this.signedIn = (await renewToken(this.settings))?.account ?? "";
      if (this.state === "running") this.#go().catch((later) => this.#fail(later));
      return;
    }
    this.problem = problemOf(error, this.account, this.signedIn);
    this.isCutOff = status === 0 && !(error instanceof UnreadableError);
    this.isSignedOut = status === 401 && this.account !== "";
    this.speed = 0;
    this.#become("failed");
  }

  #progress(sent) {
    const time = performance.now();
    this.#heard = time;
    this.#measured ??= { time, sent };
    const passed = time - this.#measured.time;
    if (passed > 500) {
      const speed = ((sent - this.#measured.sent) / passed) * 1000;
      this.speed = this.speed ? this.speed * 0.7 + speed * 0.3 : speed;
      this.#measured = { time, sent };
    }
    this.sent = sent;
    this.onchange(this.state);
  }

  #become(state) {
    const previous = this.state;
    this.state = state;
    this.onchange(previous);
  }
}
