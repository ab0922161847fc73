/* One example: the prompt, two answers side by side, what the judge said. */
(() => {
  const { element, visible, start } = epaBench;
  const place = document.getElementById("answer");
  let difference = true;
  let again = () => {};

  epaBench.shownScore = (group, score) => (score * group.scale).toFixed(group.digits).replace("-", "−");

  epaBench.toggleDifference = () => {
    difference = !difference;
    again();
  };

  // A text that may be a megabyte long: its start, and the rest on demand. `parts`: [text, whether it is marked].
  const body = (text, parts = null, tag = "mark") => {
    const box = element("div", { className: "text", dir: "auto", tabIndex: 0 });
    const cut = start(text);
    if (parts) box.append(...parts.map(([part, marked]) => (marked ? element(tag, { textContent: part }) : part)));
    else box.append(visible(cut));
    if (cut.length === text.length) return [box];
    const rest = element("button", { type: "button", textContent: `Show all ${text.length.toLocaleString("en")} characters` });
    rest.addEventListener("click", () => {
      box.replaceChildren(visible(text));
      rest.remove();
    });
    return [box, rest];
  };

  const called = ([order, said, reasoning]) => {
    const where = element("strong", { textContent: visible(order) });
    const about = element("p", { className: "call" }, where, `: ${visible(said)}`);
    return reasoning ? [about, element("blockquote", {}, ...body(reasoning))] : [about];
  };

  const SIGNS = { wins: "▲", loses: "▼", draw: "=", failed: "⚠" };

  const side = (group, arm, answer, parts, tag) => {
    const made = element("section", { className: "side" });
    made.append(element("h4", { textContent: visible(arm) }));
    if (!answer) {
      made.append(element("p", { className: "remark", textContent: "No row: this checkpoint was not asked." }));
      return made;
    }
    const facts = element("p", { className: "facts" });
    const sign = Object.hasOwn(SIGNS, answer.verdict) ? SIGNS[answer.verdict] : "";
    const className = `verdict ${sign && answer.verdict}`;
    if (answer.verdict) facts.append(element("span", { className, textContent: `${sign} ${answer.verdict}` }));
    if (answer.score !== null) {
      const textContent = visible(`${group.metric}: ${epaBench.shownScore(group, answer.score)}`);
      facts.append(element("span", { className: "score", textContent }));
    }
    made.append(facts);
    if (answer.error) made.append(element("p", { className: "error", textContent: `⚠ ${visible(answer.error)}` }));
    made.append(...body(answer.text, parts, tag));
    if (!answer.text) made.append(element("p", { className: "remark", textContent: "(empty answer)" }));
    if (answer.calls.length) made.append(element("h5", { textContent: "The judge" }), ...answer.calls.flatMap(called));
    return made;
  };

  const compared = (left, right) => {
    if (!difference || !left || !right) return [null, null, ""];
    const parts = epaBench.difference(visible(start(left.text)), visible(start(right.text)));
    return parts ? [...parts, ""] : [null, null, "Too little in common for a word-level difference."];
  };

  // `row` may be null: nothing is listed.
  epaBench.showAnswer = (group, row, name, arms) => {
    again = () => epaBench.showAnswer(group, row, name, arms);
    if (!row) {
      place.replaceChildren(element("p", { className: "remark", textContent: "No example fits these filters." }));
      return;
    }
    const { example, seed, left, right } = row;
    const [leftParts, rightParts, remark] = compared(left, right);
    const link = element("a", { href: name, className: "link", textContent: "link to this example" });
    const toggle = element("button", { type: "button", textContent: difference ? "Hide difference" : "Show difference" });
    toggle.setAttribute("aria-pressed", difference);
    toggle.addEventListener("click", epaBench.toggleDifference);
    const about = [example.category, `seed ${seed}`, group.judge ? `judge: ${group.judge}` : ""].filter(Boolean).join(" · ");
    const facts = element("span", { className: "remark", textContent: visible(about) });
    const opponent = element("details", {}, element("summary", { textContent: "The answer that the judge compared both with" }));
    if (example.opponent !== null) opponent.append(...body(example.opponent));
    place.replaceChildren(
      element("div", { className: "head" }, facts, toggle, link),
      element("h4", { textContent: "Prompt" }),
      ...body(example.prompt),
      element(
        "div",
        { className: "sides" },
        side(group, group.arms[arms[0]], left, leftParts, "del"),
        side(group, group.arms[arms[1]], right, rightParts, "ins"),
      ),
      element("p", { className: "remark", textContent: remark }),
      example.opponent === null ? "" : opponent,
    );
  };
})();
