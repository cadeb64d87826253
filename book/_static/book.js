// From file:// a browser may not fetch other pages, so the search shows titles without excerpts there.
if (location.protocol === "file:" && typeof DOCUMENTATION_OPTIONS !== "undefined") {
  DOCUMENTATION_OPTIONS.SHOW_SEARCH_SUMMARY = false;
}

// What scrolls by itself can be scrolled with the keyboard too.
function reachScrollers() {
  for (const box of document.querySelectorAll(".bd-article :is(table, pre, .math, mjx-container, .cell_output, figure)")) {
    if (box.scrollWidth > box.clientWidth + 1 && !box.hasAttribute("tabindex")) box.tabIndex = 0;
  }
}

// The small arrows in the list of contents get a name that a screen reader can say.
function nameArrows() {
  for (const arrow of document.querySelectorAll(".bd-sidenav summary")) {
    const part = arrow.closest("li").querySelector("a").textContent.trim();
    arrow.setAttribute("aria-label", `Pages under ${part}`);
  }
}

// A citation shows its entry when it is pointed at or reached with Tab; Escape takes it away.
function previewCitations() {
  const note = Object.assign(document.createElement("div"), { id: "citation-preview", hidden: true });
  note.setAttribute("role", "tooltip");
  document.body.append(note);
  const hide = () => { note.hidden = true; };
  const show = (link) => {
    note.textContent = window.CITATIONS?.[link.hash.slice(1)] ?? "";
    if (!note.textContent) return;
    note.hidden = false;
    const [at, room] = [link.getBoundingClientRect(), document.documentElement.clientWidth];
    note.style.left = `${Math.max(8, Math.min(at.left, room - note.offsetWidth - 8)) + window.scrollX}px`;
    const above = at.top - note.offsetHeight - 6;
    note.style.top = `${(above > 0 ? above : at.bottom + 6) + window.scrollY}px`;
  };
  for (const link of document.querySelectorAll('.bd-article a[href*="bibliography.html#"]')) {
    link.setAttribute("aria-describedby", note.id);
    for (const event of ["pointerenter", "focus"]) link.addEventListener(event, () => show(link));
    for (const event of ["pointerleave", "blur"]) link.addEventListener(event, hide);
  }
  document.addEventListener("keydown", (event) => { if (event.key === "Escape") hide(); });
}

// A moving picture can be stopped, and starts by itself only where motion is welcome.
function stopMoving() {
  for (const button of document.querySelectorAll(".moving button")) {
    const picture = button.parentElement.querySelector("picture");
    let moving = !window.matchMedia("(prefers-reduced-motion: reduce)").matches;
    const name = () => { button.textContent = moving ? "Stop" : "Move"; };
    button.hidden = false;
    name();
    button.addEventListener("click", () => {
      moving = !moving;
      picture.querySelector("source")?.remove();
      picture.querySelector("img").src = moving ? button.dataset.moving : button.dataset.still;
      name();
    });
  }
}

// Formulas near the window are set at once; the others, from above, a few whenever the browser has nothing else to do.
async function setTheRest() {
  await (window.MathJax?.startup?.promise ?? Promise.resolve());
  reachScrollers();
  const book = window.MathJax?.startup?.document;
  const idle = window.requestIdleCallback ?? ((then) => setTimeout(then, 30));
  const asked = new Set();  // each once, should one of them not come
  const waiting = () => [...document.querySelectorAll("mjx-lazy")].filter((one) => !asked.has(one.dataset.mjxLazy));
  for (let few; book?.lazySet && (few = waiting().slice(0, 12)).length; ) {
    await new Promise((then) => idle(then, { timeout: 500 }));
    for (const one of few) {
      asked.add(one.dataset.mjxLazy);
      book.lazySet.add(one.dataset.mjxLazy);
    }
    book.lazyHandleSet();
    await book.lazyPromise;
  }
  reachScrollers();
  document.documentElement.dataset.formulas = "set";
}

document.addEventListener("DOMContentLoaded", () => {
  nameArrows();
  previewCitations();
  stopMoving();
  setTheRest();
  window.addEventListener("resize", reachScrollers);
});
window.addEventListener("load", reachScrollers);
