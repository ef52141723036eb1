// Asks again for a thumbnail that is being made: an img with data-thumbnail, whose address answered 202.
// While it waits, and where there is none, the img is hidden, and what stands behind it is seen.

const LONGEST = 8; // seconds between two questions
const TIMES = 30;

async function askAgain(img) {
  for (let time = 0; time < TIMES && img.isConnected; time++) {
    const answer = await fetch(img.dataset.thumbnail, { credentials: "same-origin" }).catch(() => null);
    if (answer?.status === 200) {
      img.hidden = false;
      img.src = img.dataset.thumbnail;
      return;
    }
    if (answer && answer.status !== 202) return; // it has none
    const seconds = Number(answer?.headers.get("Retry-After")) || 1;
    // Many pictures of a page wait for one another.
    await new Promise((resolve) => setTimeout(resolve, 1000 * Math.min(seconds + time, LONGEST)));
  }
}

export function watch(img) {
  img.addEventListener("error", () => {
    img.hidden = true;
    askAgain(img);
  }, { once: true });
  if (img.complete && !img.naturalWidth && img.src) img.dispatchEvent(new Event("error"));
}

for (const img of document.querySelectorAll("img[data-thumbnail]")) watch(img);
