/** One line of the upload tray. */

const NUMBER = new Intl.NumberFormat(undefined, { maximumFractionDigits: 1 });

/** Write a number of bytes, as the server does: 1.5 MiB. */
function humanSize(bytes) {
  const units = ["bytes", "KiB", "MiB", "GiB", "TiB"];
  let unit = 0;
  while (bytes >= 1024 && unit < units.length - 1) {
    bytes /= 1024;
    unit += 1;
  }
  return bytes === 1 && unit === 0 ? "1 byte" : `${NUMBER.format(bytes)} ${units[unit]}`;
}

/** Write a length of time for people, who need no seconds where it is long. */
function humanTime(seconds) {
  if (seconds < 60) return `${Math.ceil(seconds)} s left`;
  if (seconds < 3600) return `${Math.ceil(seconds / 60)} min left`;
  return `${NUMBER.format(seconds / 3600)} h left`;
}

const SAID = { queued: "Waiting", paused: "Paused", cancelled: "Cancelled" };

/** Return where the page of a target is. */
function pageOf(target) {
  return `/${target.replace("folder/", "folders/").replace("request/", "requested/")}`;
}

/** One line of the tray. */
export class TrayItem {
  /**
   * @param {Upload} upload
   * @param {string} signIn the address of the page to sign in
   */
  constructor(upload, signIn) {
    this.upload = upload;
    const template = document.getElementById("tray-item");
    this.element = template.content.firstElementChild.cloneNode(true);
    this.element.querySelector(".name").textContent = upload.name;
    this.progress = this.element.querySelector("progress");
    this.progress.max = Math.max(upload.size, 1);
    this.progress.setAttribute("aria-label", `Upload of ${upload.name}`);
    const next = new URLSearchParams({ next: pageOf(upload.target) });
    this.signIn = this.element.querySelector("a");
    this.signIn.href = `${signIn}?${next}`;
    this.buttons = {};
    for (const button of this.element.querySelectorAll("button")) {
      const action = button.dataset.action;
      this.buttons[action] = button;
      button.setAttribute("aria-label", `${button.textContent} ${upload.name}`);
      button.addEventListener("click", () => this.press(action));
    }
    this.show();
  }

  press(action) {
    this.upload[action === "retry" ? "resume" : action]();
    // A button that went had the focus; the one in its place takes it.
    if (document.activeElement === document.body || this.buttons[action].hidden) {
      Object.values(this.buttons).find((button) => !button.hidden)?.focus();
    }
  }

  show() {
    const { upload } = this;
    this.element.dataset.state = upload.state;
    this.progress.value = upload.state === "done" ? this.progress.max : upload.sent;
    this.element.querySelector(".said").textContent = this.#said();
    this.buttons.pause.hidden = upload.state !== "running" && upload.state !== "queued";
    this.buttons.resume.hidden = upload.state !== "paused";
    this.buttons.retry.hidden = upload.state !== "failed";
    this.buttons.cancel.hidden = upload.state === "done";
    this.signIn.hidden = !upload.isSignedOut || upload.signedIn !== "";
  }

  #done() {
    const { file, size, storedAs } = this.upload;
    if (!file) return storedAs ? `Folder created as ${storedAs}` : "Folder created";
    const done = `Done, ${humanSize(size)}`;
    return storedAs ? `${done}. Stored as ${storedAs}` : done;
  }

  #said() {
    const { upload } = this;
    if (upload.state === "failed") return upload.problem;
    if (upload.state === "done") return this.#done();
    const there = `${humanSize(upload.sent)} of ${humanSize(upload.size)}`;
    if (upload.state !== "running") return `${SAID[upload.state]}, ${there}`;
    if (upload.size && upload.sent === upload.size) return "Checking what arrived …";
    if (!upload.speed) return there;
    const left = humanTime((upload.size - upload.sent) / upload.speed);
    return `${there}, ${humanSize(upload.speed)}/s, ${left}`;
  }
}
