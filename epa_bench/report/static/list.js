/* A list of which only the rows on the screen exist: a listbox for keyboards and screen readers. */
(() => {
  const HEIGHT = 52;
  const BEYOND = 6;

  // `draw(index)` gives a row's content, `chosen(index)` is told of a choice.
  epaBench.virtualList = (box, draw, chosen) => {
    const rows = epaBench.element("div", { className: "rows" });
    box.append(rows);
    let [count, active] = [0, -1];

    const row = (index) => {
      const made = epaBench.element("div", { className: "row", id: `${box.id}-${index}` }, ...draw(index));
      made.setAttribute("role", "option");
      made.setAttribute("aria-setsize", count);
      made.setAttribute("aria-posinset", index + 1);
      made.setAttribute("aria-selected", index === active);
      made.style.top = `${index * HEIGHT}px`;
      made.addEventListener("click", () => choose(index));
      return made;
    };

    const show = () => {
      const first = Math.max(0, Math.floor(box.scrollTop / HEIGHT) - BEYOND);
      const end = Math.min(count, Math.ceil((box.scrollTop + box.clientHeight) / HEIGHT) + BEYOND);
      rows.replaceChildren(...Array.from({ length: Math.max(0, end - first) }, (_, offset) => row(first + offset)));
    };

    const choose = (index) => {
      if (index < 0 || index >= count) return;
      active = index;
      box.setAttribute("aria-activedescendant", `${box.id}-${index}`);
      const top = index * HEIGHT;
      if (top < box.scrollTop) box.scrollTop = top;
      else if (top + HEIGHT > box.scrollTop + box.clientHeight) box.scrollTop = top + HEIGHT - box.clientHeight;
      show();
      chosen(index);
    };

    const resize = (length, selected) => {
      [count, active] = [length, selected];
      rows.style.height = `${count * HEIGHT}px`;
      if (active <= 0) box.scrollTop = 0;
      box.removeAttribute("aria-activedescendant");
      show();
    };

    let drawing = 0;
    box.addEventListener("scroll", () => {
      cancelAnimationFrame(drawing);
      drawing = requestAnimationFrame(show);
    });
    new ResizeObserver(show).observe(box);
    return {
      choose,
      resize,
      move: (step) => choose(Math.min(count - 1, Math.max(0, active + step))),
      page: () => Math.max(1, Math.floor(box.clientHeight / HEIGHT)),
      count: () => count,
    };
  };
})();
