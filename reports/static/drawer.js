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
    for (const [name, text, digits] of cell.lines) {
      list.append(make("div", {}, make("dt", {}, name), make("dd", { title: digits || null }, make("bdi", {}, text))));
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

  // The choices above the table hide columns; a phone begins without the columns of seen and unseen clips.
  const board = document.getElementById("board");
  const hides = (id, name) => {
    const box = document.getElementById(id);
    if (!box || !board) return null;
    const show = () => board.classList.toggle(name, !box.checked);
    box.addEventListener("change", show);
    return { box, show };
  };
  const conventions = hides("all-conventions", "defaults");
  const splits = hides("splits", "whole");
  if (splits && matchMedia("(max-width: 52rem)").matches) splits.box.checked = false;
  for (const choice of [conventions, splits]) if (choice) choice.show();
})();
