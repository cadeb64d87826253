// Starts reveal.js once the formulas are set, and lets a full slide shrink until it fits; what is fuller still scrolls.
const SMALLEST = 0.6;

function full(board) {
  return board.scrollHeight > board.clientHeight + 1 || board.scrollWidth > board.clientWidth + 1;
}

function fit(slide) {
  const board = slide?.querySelector(":scope > .board");
  if (!board) return;
  board.style.fontSize = "";
  for (let size = 0.95; full(board) && size >= SMALLEST; size -= 0.05) {
    board.style.fontSize = `${size}em`;
  }
  if (full(board)) board.tabIndex = 0;
}

window.addEventListener("load", async () => {
  await (window.MathJax?.startup?.promise ?? Promise.resolve());
  Reveal.on("ready", (event) => fit(event.currentSlide));
  Reveal.on("slidechanged", (event) => fit(event.currentSlide));
  Reveal.on("pdf-ready", () => document.querySelectorAll(".slides section:has(> .board)").forEach(fit));
  await Reveal.initialize({
    width: 1280, height: 720, margin: 0.03, center: false, hash: true, slideNumber: "c/t", transition: "none",
    controlsTutorial: false, pdfSeparateFragments: false,
  });
});
