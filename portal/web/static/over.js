/**
 * What is open over the page, such as a menu: Back closes it, and does not leave the page. A step of
 * the history stands for it, which is taken back when it is closed otherwise.
 */

/** @type {(() => boolean | void) | null} */
let close = null;
let isLeaving = false;

/**
 * Note that something has opened.
 * @param {() => boolean | void} closeIt what Back does with it; false: it stays
 */
export function opened(closeIt) {
  close = closeIt;
  if (!isLeaving && !history.state?.over) push();
}

const push = () => history.pushState({ ...history.state, over: true }, "");

/** Note that it was closed, by whatever. */
export function closed() {
  if (!close) return;
  close = null;
  skip();
}

/** Leave the step of what is not open any more. */
function skip() {
  if (close || !history.state?.over) return;
  isLeaving = true;
  history.back();
}

function follow() {
  const hasLeft = isLeaving;
  isLeaving = false;
  if (hasLeft && close) return opened(close); // which has opened meanwhile
  if (!close || history.state?.over) return skip();
  const closeIt = close;
  close = null;
  if (closeIt() === false) opened(closeIt);
}

// Not "toggle", which comes later: somebody may have pressed Back before.
document.addEventListener(
  "beforetoggle",
  ({ target, newState }) => {
    if (!target.matches?.("[popover]")) return;
    if (newState === "open") opened(() => target.hidePopover());
    else closed();
  },
  true,
);

// A link leaves the page: to go back now would stop that. Whoever comes back skips the step.
addEventListener("click", (event) => {
  const link = event.target.closest?.("a[href]");
  if (link && !event.defaultPrevented) close = null;
});
addEventListener("popstate", follow);
addEventListener("pageshow", skip);
