/** What is seen of a file: a picture in two sizes, and swipes from one file to the next. */

import { gettext } from "./text.js";

const FAR = 48; // pixels that a finger moves at least

/** Say so where the browser cannot show what it got. */
export function improveStage(viewer) {
  const [frame, instead] = [viewer.querySelector("iframe"), viewer.querySelector(".instead")];
  if (frame && navigator.pdfViewerEnabled === false) {
    frame.remove();
    instead.hidden = false;
  }
  const media = viewer.querySelector(".stage :is(img, audio, video)");
  if (!media) return;
  const isBroken = media.complete && !media.naturalWidth;
  if (isBroken || media.error) replace(media);
  else media.addEventListener("error", () => replace(media), { once: true });
  showZoom(viewer);
}

function replace(media) {
  const said = document.createElement("p");
  said.className = "instead";
  said.textContent = gettext(
    "This browser cannot show the file. Download it to open it in another program.",
  );
  media.replaceWith(said);
}

/** Change between a picture that fits and its actual size. */
export function toggleZoom(viewer) {
  if (viewer?.dataset.type !== "picture") return;
  viewer.toggleAttribute("data-actual");
  showZoom(viewer);
  const stage = viewer.querySelector(".stage");
  stage.scrollTo((stage.scrollWidth - stage.clientWidth) / 2, (stage.scrollHeight - stage.clientHeight) / 2);
}

function showZoom(viewer) {
  const isActual = viewer.hasAttribute("data-actual");
  viewer.querySelector("[data-zoom]").ariaPressed = String(isActual);
  // Who has no pointer scrolls by keys.
  if (isActual) viewer.querySelector(".stage").tabIndex = 0;
  else viewer.querySelector(".stage").removeAttribute("tabindex");
}

/**
 * @param {HTMLElement} stage
 * @param {(selector: string) => void} follows goes where a link of the viewer leads
 */
export function listenToSwipes(stage, follows) {
  let start = null;
  stage.addEventListener(
    "touchstart",
    (event) => {
      const isMedia = event.target.closest("audio, video, iframe");
      const isZoomed = stage.parentElement.hasAttribute("data-actual") || visualViewport.scale > 1.01;
      const isAlone = event.touches.length === 1 && !isMedia && !isZoomed;
      start = isAlone && !scrollsSideways(event.target, stage) ? at(event) : null;
    },
    { passive: true },
  );
  stage.addEventListener(
    "touchend",
    (event) => {
      if (!start) return;
      const [x, y] = at(event).map((one, axis) => one - start[axis]);
      start = null;
      if (Math.abs(x) < FAR || Math.abs(x) < 2 * Math.abs(y)) return;
      follows(x < 0 ? "[data-step=next]" : "[data-step=prev]");
    },
    { passive: true },
  );
  stage.addEventListener("touchcancel", () => (start = null), { passive: true });
}

function at(event) {
  const { clientX, clientY } = event.changedTouches[0];
  return [clientX, clientY];
}

/** Whether a finger would scroll something there, such as a wide table. */
function scrollsSideways(element, stage) {
  for (let one = element; one && stage.contains(one); one = one.parentElement) {
    if (one.scrollWidth > one.clientWidth && getComputedStyle(one).overflowX !== "visible") return true;
  }
  return false;
}
