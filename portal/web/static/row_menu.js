/**
 * The menu of a row: one for all of them, as a menu button opens it (ARIA's pattern), or a right
 * click. Without it, the button is a link to the details.
 */

import { rename } from "./rename.js";
import { actionsOf, idOf, isFolder, linkOf, nameOf, rowOf, rows, shareOf } from "./row.js";
import { open, trash } from "./row_actions.js";
import { gettext } from "./text.js";

const EDGE = 8;
let row;

const canShow = "showPopover" in HTMLElement.prototype;
const template = () => document.getElementById("row-menu");
const all = (menu) => [...menu.querySelectorAll("[role=menuitem]")];
const items = (menu) => all(menu).filter((item) => !item.hidden);

/** Say of each row's buttons what they are: with a script, that is more than without one. */
function nameButtons() {
  if (!canShow || !template()) return;
  for (const one of rows()) {
    const [share, actions] = [shareOf(one), actionsOf(one)];
    if (!actions || actions.role) continue;
    const name = nameOf(one);
    share.ariaLabel = gettext("Share %(name)s", { name });
    actions.ariaLabel = gettext("Actions for %(name)s", { name });
    actions.replaceChildren(); // the words of a link to the details
    actions.role = "button";
    actions.ariaHasPopup = "menu";
    actions.ariaExpanded = "false";
  }
}

/** Return the menu, of a row. */
function fill() {
  const model = template().content.querySelector(".menu");
  let menu = document.getElementById("menu");
  if (!menu) {
    menu = model.cloneNode(true);
    menu.addEventListener("toggle", (event) => {
      if (row) actionsOf(row).ariaExpanded = String(event.newState === "open");
    });
    template().after(menu);
  }
  const [id, name] = [idOf(row), nameOf(row)];
  menu.ariaLabel = gettext("Actions for %(name)s", { name });
  menu.querySelector("p").textContent = name;
  for (const [at, item] of all(menu).entries()) {
    const href = all(model)[at].getAttribute("href");
    if (href) item.href = href.replace("ENTRY", id);
  }
  const first = menu.querySelector("[data-does=open]");
  first.href = linkOf(row).href;
  const isShown = isFolder(row) || Boolean(linkOf(row).dataset.viewType);
  const { download, open: opens } = first.dataset;
  first.querySelector("span").textContent = isShown ? opens : download;
  menu.querySelector("[data-does=request]").hidden = !isFolder(row);
  menu.querySelector("[data-does=download]").hidden = isFolder(row) || !isShown;
  return menu;
}

/** Open a row's menu at a place, or beside its button. */
function openMenu(of, at) {
  row = of;
  const menu = fill();
  menu.hidePopover();
  menu.showPopover();
  const box = actionsOf(row).getBoundingClientRect();
  const { width, height } = menu.getBoundingClientRect();
  let [x, y] = at ?? [box.right - width, box.bottom + 2];
  if (y + height > innerHeight - EDGE) y = at ? y - height : box.top - height - 2;
  x = Math.min(x, innerWidth - width - EDGE);
  menu.style.setProperty("--x", `${Math.max(x, EDGE)}px`);
  menu.style.setProperty("--y", `${Math.max(y, EDGE)}px`);
  items(menu)[0].focus({ preventScroll: true });
}

const ACTIONS = { open: () => open(row), rename: () => rename(row), trash: () => trash([row]) };

function choose(event, item) {
  const does = ACTIONS[item.dataset.does];
  row = rows().find((one) => idOf(one) === idOf(row)) ?? row; // of a list that is renewed by now
  const isPlain = !event.ctrlKey && !event.metaKey && !event.shiftKey;
  if (does && isPlain) event.preventDefault();
  document.getElementById("menu").hidePopover();
  actionsOf(row).focus({ preventScroll: true });
  if (isPlain) does?.();
}

document.addEventListener("click", (event) => {
  const item = event.target.closest?.("#menu [role=menuitem]");
  if (item) return choose(event, item);
  const button = event.target.closest?.(".actions[role=button]");
  if (!button || event.ctrlKey || event.metaKey || event.shiftKey) return;
  event.preventDefault();
  const isOpen = button.ariaExpanded === "true";
  if (!isOpen) openMenu(rowOf(button));
});

document.addEventListener("contextmenu", (event) => {
  const one = rowOf(event.target);
  const isForBrowser = event.shiftKey || event.pointerType === "touch" || !getSelection().isCollapsed;
  if (!canShow || isForBrowser || !one?.matches("tr") || event.target.closest("input, .rename")) return;
  event.preventDefault();
  openMenu(one, event.pointerType === "mouse" ? [event.clientX, event.clientY] : undefined);
});

/** In the menu. */
function keyInMenu(event, menu) {
  const shown = items(menu);
  const at = shown.indexOf(document.activeElement);
  const to = {
    ArrowDown: at + 1,
    ArrowUp: at - 1,
    Home: 0,
    End: -1,
  }[event.key];
  if (to !== undefined) {
    event.preventDefault();
    shown.at(to % shown.length).focus();
  } else if (event.key === "Tab") {
    menu.hidePopover();
  } else if (event.key === " ") {
    event.preventDefault();
    document.activeElement.click();
  } else if (event.key.length === 1 && !event.ctrlKey && !event.metaKey && !event.altKey) {
    const isIt = (item) => item.textContent.trim().toLowerCase().startsWith(event.key.toLowerCase());
    [...shown.slice(at + 1), ...shown].find(isIt)?.focus();
  }
}

document.addEventListener("keydown", (event) => {
  const menu = document.querySelector("#menu:popover-open");
  if (menu) return keyInMenu(event, menu);
  if (!event.target.matches?.(".actions[role=button]")) return;
  if (![" ", "ArrowDown"].includes(event.key) || event.ctrlKey || event.metaKey) return;
  if (event.key === "ArrowDown" && !event.altKey) return; // to the next row
  event.preventDefault();
  openMenu(rowOf(event.target));
});

document.addEventListener("portal:page", nameButtons);
nameButtons();
