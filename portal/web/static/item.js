/** One line of the upload tray. */

const NUMBER = new Intl.NumberFormat(undefined, { maximumFractionDigits: 1 });

/** Write a number of bytes, as the server does: 1.5 MiB. */
export function humanSize(bytes) {
  const units = ["bytes", "KiB", "MiB", "GiB", "TiB"];
  let unit = 0;
  while (bytes >= 1024 && unit < units.length - 1) {
    bytes /= 1024;
    unit += 1;
  }
  return `${NUMBER.format(bytes)} ${units[unit]}`;
}

/** Write a length of time for people, who need no seconds where it is long. */
export function humanTime(seconds) {
  if (seconds < 60) return `${Math.ceil(seconds)} s left`;
  if (seconds < 3600) return `${Math.ceil(seconds / 60)} min left`;
  return `${NUMBER.format(seconds / 3600)} h left`;
}

const SAID = { queued: "Waiting", paused: "Paused", done: "Done", cancelled: "Cancelled" };

export class TrayItem {
  /** @param {import("./uploads.js").Upload} upload */
  constructor(upload) {
    this.upload = upload;
    const template = document.getElementById("tray-item");
    this.element = template.content.firstElementChild.cloneNode(true);
    this.element.querySelector(".name").textContent = upload.name;
    this.progress = this.element.querySelector("progress");
    this.progress.max = Math.max(upload.size, 1);
    this.progress.setAttribute("aria-label", `Upload of ${upload.name}`);
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
  }

  #said() {
    const { upload } = this;
    if (upload.state === "failed") return upload.problem;
    if (upload.state === "done") return `Done, ${humanSize(upload.size)}`;
    const there = `${humanSize(upload.sent)} of ${humanSize(upload.size)}`;
    if (upload.state !== "running") return `${SAID[upload.state]}, ${there}`;
    if (upload.size && upload.sent === upload.size) return "Checking what arrived …";
    if (!upload.speed) return there;
    return `${there}, ${humanSize(upload.speed)}/s, ${humanTime(upload.timeLeft)}`;
  }
}
