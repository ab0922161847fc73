/* Word-level difference of two texts. E. W. Myers, An O(ND) Difference Algorithm and Its Variations, 1986. */
(() => {
  const MOST_EDITS = 1200;

  const words = (text) => [...new Intl.Segmenter(undefined, { granularity: "word" }).segment(text)].map((each) => each.segment);

  // The diagonal from which the path to diagonal `k` comes: a word of `b` inserted, or one of `a` deleted.
  const previous = (furthest, k, edits, most) => {
    const at = k + most + 1;
    return k === -edits || (k !== edits && furthest[at - 1] < furthest[at + 1]) ? k + 1 : k - 1;
  };

  // The furthest points of every number of edits; null where more than MOST_EDITS are needed.
  const search = (a, b) => {
    const most = Math.min(a.length + b.length, MOST_EDITS);
    // By diagonal k = x - y, from -most - 1 to most + 1.
    const furthest = new Int32Array(2 * most + 3);
    const trace = [];
    for (let edits = 0; edits <= most; edits++) {
      trace.push(furthest.slice());
      for (let k = -edits; k <= edits; k += 2) {
        const from = previous(furthest, k, edits, most);
        let x = furthest[from + most + 1] + (from < k ? 1 : 0);
        while (x < a.length && x - k < b.length && a[x] === b[x - k]) x++;
        furthest[k + most + 1] = x;
        if (x >= a.length && x - k >= b.length) return trace;
      }
    }
    return null;
  };

  // Marks the words that are only in `a`, and only in `b`.
  const mark = (a, b, trace) => {
    const onlyA = new Uint8Array(a.length);
    const onlyB = new Uint8Array(b.length);
    const most = (trace[0].length - 3) / 2;
    let [x, y] = [a.length, b.length];
    for (let edits = trace.length - 1; edits > 0; edits--) {
      const k = x - y;
      const from = previous(trace[edits], k, edits, most);
      const fromX = trace[edits][from + most + 1];
      const fromY = fromX - from;
      if (from > k) onlyB[fromY] = 1;
      else onlyA[fromX] = 1;
      [x, y] = [fromX, fromY];
    }
    return [onlyA, onlyB];
  };

  // Neighbouring words of one kind together: [text, whether it is only here].
  const runs = (listed, only) => {
    const found = [];
    listed.forEach((word, index) => {
      const last = found.at(-1);
      if (last && last[1] === Boolean(only[index])) last[0] += word;
      else found.push([word, Boolean(only[index])]);
    });
    return found;
  };

  // Two lists of [text, whether it is only on this side], or null where the texts have too little in common.
  epaBench.difference = (left, right) => {
    const [a, b] = [words(left), words(right)];
    const trace = search(a, b);
    if (!trace) return null;
    const [onlyA, onlyB] = mark(a, b, trace);
    return [runs(a, onlyA), runs(b, onlyB)];
  };
})();
