// "How was this computed": a dialog for every cell of the leaderboard.
"use strict";
(() => {
  const { make } = window.clapstick;
  const cells = JSON.parse(document.getElementById("cells").textContent);
  const drawer = document.getElementById("drawer");
  const title = document.getElementById("drawer-title");
  const body = document.getElementById("drawer-body");

  function open(cell) {
    title.replaceChildren(make("bdi", {}, cell.title));
    const list = make("dl", { class: "pairs" });
    for (const [name, text] of cell.lines) {
      list.append(make("div", {}, make("dt", {}, name), make("dd", {}, make("bdi", {}, text))));
    }
    const parts = [list];
    if (cell.missing.length) {
      const names = make("ul", { class: "names" }, ...cell.missing.map((id) => make("li", {}, make("bdi", {}, id))));
      parts.push(make("details", {}, make("summary", {}, `${cell.missing.length} clips without a value`), names));
    }
    parts.push(make("h3", {}, "Signature"));
    const signature = make("code", { class: "signature" });
    cell.signature.split("|").forEach((part, index) => {
      if (index) signature.append("|", make("wbr"));
      signature.append(part);
    });
    parts.push(signature);
    const method = document.getElementById(cell.method);
    if (method) {
      const copy = make("div", { class: "method" });
      copy.append(...[...method.childNodes].map((node) => node.cloneNode(true)));
      parts.push(copy);
    }
    body.replaceChildren(...parts);
    drawer.showModal();
    body.scrollTop = 0;
  }

  document.addEventListener("click", (event) => {
    const link = event.target.closest("[data-cell]");
    if (link && cells[link.dataset.cell]) {
      event.preventDefault();
      open(cells[link.dataset.cell]);
    } else if (event.target === drawer) {
      drawer.close();
    }
  });
  document.getElementById("drawer-close").addEventListener("click", () => drawer.close());

  const every = document.getElementById("all-conventions");
  const board = document.getElementById("board");
  if (every && board) {
    const show = () => board.classList.toggle("defaults", !every.checked);
    every.addEventListener("change", show);
    show();
  }
})();
