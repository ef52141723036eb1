/** One line of the upload tray. */

import { gettext, ngettext, number } from "./text.js";

const TENTHS = { maximumFractionDigits: 1 };

/** Write a number of bytes, as the server does: 1.5 MiB. */
function humanSize(bytes) {
  const units = ["KiB", "MiB", "GiB", "TiB"];
  let unit = -1;
  while (bytes >= 1024 && unit < units.length - 1) {
    bytes /= 1024;
    unit += 1;
  }
  if (unit < 0) return ngettext("%(num)s byte", "%(num)s bytes", Math.round(bytes));
  return `${number(bytes, TENTHS)} ${units[unit]}`;
}

/** Write a length of time for people, who need no seconds where it is long. */
function humanTime(seconds) {
  if (seconds < 60) return gettext("%(time)s s left", { time: number(Math.ceil(seconds)) });
  if (seconds < 3600) return gettext("%(time)s min left", { time: number(Math.ceil(seconds / 60)) });
  return gettext("%(time)s h left", { time: number(seconds / 3600, TENTHS) });
}

/** What is said of an upload that does not run, and of what a button does with it. */
const SAID = {
  queued: (values) => gettext("Waiting, %(sent)s of %(size)s", values),
  paused: (values) => gettext("Paused, %(sent)s of %(size)s", values),
  cancelled: (values) => gettext("Cancelled, %(sent)s of %(size)s", values),
};
const ACTIONS = {
  pause: (name) => gettext("Pause %(name)s", { name }),
  resume: (name) => gettext("Resume %(name)s", { name }),
  retry: (name) => gettext("Retry %(name)s", { name }),
  cancel: (name) => gettext("Cancel %(name)s", { name }),
};

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
    const { name } = upload;
    this.progress.setAttribute("aria-label", gettext("Upload of %(name)s", { name }));
    const next = new URLSearchParams({ next: pageOf(upload.target) });
    this.signIn = this.element.querySelector("a");
    this.signIn.href = `${signIn}?${next}`;
    this.buttons = {};
    for (const button of this.element.querySelectorAll("button")) {
      const action = button.dataset.action;
      this.buttons[action] = button;
      button.setAttribute("aria-label", ACTIONS[action](name));
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
    const values = { size: humanSize(size), stored: storedAs };
    if (!file) {
      return storedAs
        ? gettext("Folder created as %(stored)s", values)
        : gettext("Folder created");
    }
    return storedAs
      ? gettext("Done, %(size)s. Stored as %(stored)s", values)
      : gettext("Done, %(size)s", values);
  }

  #said() {
    const { upload } = this;
    if (upload.state === "failed") return upload.problem;
    if (upload.state === "done") return this.#done();
    const values = { sent: humanSize(upload.sent), size: humanSize(upload.size) };
    if (upload.state !== "running") return SAID[upload.state](values);
    if (upload.size && upload.sent === upload.size) return gettext("Checking what arrived …");
    if (!upload.speed) return gettext("%(sent)s of %(size)s", values);
    const left = humanTime((upload.size - upload.sent) / upload.speed);
    const going = { ...values, speed: humanSize(upload.speed), left };
    return gettext("%(sent)s of %(size)s, %(speed)s/s, %(left)s", going);
  }
}
