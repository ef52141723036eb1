/** One upload in pieces, by tus-js-client, and what a closed tab has left of others. */

const RETRY_DELAYS = [0, 1000, 3000, 5000, 10000, 20000, 30000, 30000];
/** What may be better in a moment: no answer, another request at work, a server that starts again. */
const PASSING = new Set([0, 409, 423, 500, 502, 503, 504]);
/**
 * Milliseconds without a byte after which a connection counts as dead: a phone that lost its network
 * hears nothing more. The server, which checks and keeps what has come whole, has longer to answer.
 */
const SILENCE = 30_000;
const SILENCE_AT_END = 300_000;
const PREFIX = "portal-upload";

let library;

/** Load tus-js-client once somebody uploads: pages are light without it. */
function loadLibrary(address) {
  library ??= new Promise((resolve, reject) => {
    const script = document.createElement("script");
    script.src = address;
    script.onload = () => resolve(window.tus);
    script.onerror = () =>
      reject(new Error("The portal cannot be reached. Check the connection, and retry."));
    document.head.append(script);
  });
  library.catch(() => (library = undefined));
  return library;
}

export class Upload {
  /** @type {"queued" | "running" | "paused" | "done" | "failed" | "cancelled"} */
  state = "queued";
  problem = "";
  /** Whether it failed as nothing could be reached. */
  isCutOff = false;
  sent = 0;
  speed = 0;
  onchange = () => {};

  /**
   * @param {File} file
   * @param {string} path where it lies in a folder that was dropped, or ""
   * @param {string} folder the folder's public id
   * @param {DOMStringMap} settings endpoint, token, chunk (bytes), library
   */
  constructor(file, path, folder, settings) {
    Object.assign(this, { file, path, folder, settings, name: path || file.name, size: file.size });
  }

  get isActive() {
    return this.state === "queued" || this.state === "running" || this.state === "paused";
  }

  /** What makes a file the same as one whose upload was begun: where to, and which. */
  get fingerprint() {
    const { folder, path, file } = this;
    const parts = [folder, path || file.name, file.size, file.lastModified];
    return [PREFIX, ...parts.map((part) => encodeURIComponent(part))].join("/");
  }

  /** Begin, or go on, if that is waited for. */
  async start() {
    if (this.state !== "queued") return;
    this.#become("running");
    try {
      await this.#begin();
    } catch (error) {
      this.problem = error.message;
      this.#become("failed");
    }
  }

  pause() {
    this.tus?.abort();
    this.speed = 0;
    this.#become("paused");
  }

  /** Go on after a pause, or try again, when it is this one's turn. */
  resume() {
    this.problem = "";
    this.isCutOff = false;
    this.#become("queued");
  }

  async cancel() {
    this.#become("cancelled");
    // What the server does not hear of now, it gives up by itself later.
    await this.tus?.abort(true).catch(() => {});
  }

  async #begin() {
    if (!this.tus) {
      const tus = await loadLibrary(this.settings.library);
      this.tus = new tus.Upload(this.file, this.#options());
      // The tab may have been closed in the middle of this very file.
      const [before] = await this.tus.findPreviousUploads();
      if (before) this.tus.resumeFromPreviousUpload(before);
    }
    if (this.state !== "running") return;
    this.#measured = undefined;
    this.#heard = performance.now();
    this.tus.start();
    this.#watch();
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
      await this.tus.abort();
      if (this.state === "running") this.tus.start();
    }, 1000);
  }

  #options() {
    return {
      endpoint: this.settings.endpoint,
      chunkSize: Number(this.settings.chunk),
      headers: { "X-CSRFToken": this.settings.token },
      metadata: {
        filename: this.file.name,
        folder: this.folder,
        ...(this.path && { relativePath: this.path }),
      },
      retryDelays: RETRY_DELAYS,
      removeFingerprintOnSuccess: true,
      fingerprint: async () => this.fingerprint,
      onShouldRetry: (error) => {
        this.#heard = performance.now();
        return PASSING.has(error.originalResponse?.getStatus() ?? 0);
      },
      onProgress: (sent) => this.#progress(sent),
      onSuccess: () => {
        this.sent = this.size;
        this.#become("done");
      },
      onError: (error) => {
        this.problem = problemOf(error);
        this.isCutOff = !error.originalResponse?.getStatus();
        this.#become("failed");
      },
    };
  }

  #heard;
  #watching;
  /** The time and the bytes sent when the speed was last measured. */
  #measured;

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

function problemOf(error) {
  const response = error.originalResponse;
  if (!response || response.getStatus() === 0) {
    return "The connection was lost, and trying again did not help. Retry when it is back.";
  }
  const status = response.getStatus();
  if (status === 401) return "You are signed out. Sign in again in another tab, and then retry.";
  const said = response.getBody()?.trim();
  return said && !said.startsWith("<") ? said : `The server answered ${status}. Retry later.`;
}

/**
 * Return the uploads into a folder that another tab has begun and not finished, as tus-js-client
 * notes them in the browser.
 * @param {string} folder
 * @returns {{name: string, fingerprint: string, forget: (settings: DOMStringMap) => Promise<void>}[]}
 */
export function unfinished(folder) {
  const beginning = `tus::${PREFIX}/${encodeURIComponent(folder)}/`;
  return Object.keys(localStorage)
    .filter((key) => key.startsWith(beginning))
    .map((key) => ({
      name: decodeURIComponent(key.slice(beginning.length).split("/")[0]),
      fingerprint: key.split("::")[1],
      forget: async ({ token }) => {
        const { uploadUrl } = JSON.parse(localStorage.getItem(key));
        localStorage.removeItem(key);
        const headers = { "Tus-Resumable": "1.0.0", "X-CSRFToken": token };
        await fetch(uploadUrl, { method: "DELETE", headers }).catch(() => {});
      },
    }));
}
