/* Foreign text as it is: what would move or hide other text is shown as a sign. */
(() => {
  const HIDDEN = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff]/g;
  const LONG = 20000;

  const sign = (character) => {
    const code = character.codePointAt(0);
    return code < 0x20 ? String.fromCodePoint(0x2400 + code) : `[U+${code.toString(16).toUpperCase().padStart(4, "0")}]`;
  };

  const visible = (text) => text.replace(/\r\n/g, "\n").replace(HIDDEN, sign);

  // The first characters of a text for which drawing all would stop the page, without half a surrogate pair.
  const start = (text, length = LONG) => {
    if (text.length <= length) return text;
    const last = text.charCodeAt(length - 1);
    return text.slice(0, last >= 0xd800 && last < 0xdc00 ? length - 1 : length);
  };

  const excerpt = (text, length = 160) => visible(start(text, length)).replace(/\s+/g, " ");

  Object.assign(epaBench, { visible, start, excerpt });
})();
