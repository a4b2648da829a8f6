// What pages do in a browser beside what htmx does: keys, ages that grow, copying.
// Every page works without this file.
"use strict";

(() => {
  const THIN = "\u202f";

  // "/" goes to the search field, unless somebody is typing.
  document.addEventListener("keydown", (event) => {
    const typing = event.target.closest("input, textarea, select, [contenteditable]");
    if (event.key === "/" && !typing && !event.ctrlKey && !event.metaKey && !event.altKey) {
      const field = document.getElementById("q");
      if (field) {
        event.preventDefault();
        field.focus();
        field.select();
      }
    }
  });

  // Ages grow while a page is open, in the words that the server uses.
  const coarse = (s) => {
    if (s < 60) return `${s}${THIN}s`;
    if (s < 3600) return `${Math.floor(s / 60)}${THIN}min`;
    if (s < 172800) return `${Math.floor(s / 3600)}${THIN}h`;
    return `${Math.floor(s / 86400)}${THIN}days`;
  };
  const ago = (at) => {
    const s = Math.floor((Date.now() - at) / 1000);
    if (s < -1) return `in ${coarse(-s)}`;
    return s < 1 ? "just now" : `${coarse(s)} ago`;
  };
  setInterval(() => {
    for (const time of document.querySelectorAll("time[data-ago]")) {
      const text = ago(Date.parse(time.dateTime));
      if (time.textContent !== text) time.textContent = text;
    }
  }, 1000);

  // A button with data-copy copies the text of the element that it names.
  document.addEventListener("click", async (event) => {
    const button = event.target.closest("[data-copy]");
    if (!button) return;
    const source = document.getElementById(button.dataset.copy);
    const was = button.textContent;
    try {
      await navigator.clipboard.writeText(source.value ?? source.textContent);
      button.textContent = "Copied";
    } catch {
      const range = document.createRange();
      range.selectNodeContents(source);
      getSelection().removeAllRanges();
      getSelection().addRange(range);
      button.textContent = "Selected";
    }
    setTimeout(() => { button.textContent = was; }, 1500);
  });

  // A box with data-all ticks and unticks the boxes of its group, and follows them.
  document.addEventListener("change", (event) => {
    const group = event.target.closest("fieldset");
    const all = group?.querySelector("[data-all]");
    if (!all) return;
    const boxes = [...group.querySelectorAll("input[type=checkbox]:not([data-all])")];
    if (event.target === all) {
      for (const box of boxes) box.checked = all.checked;
    }
    all.checked = boxes.every((box) => box.checked);
    all.indeterminate = !all.checked && boxes.some((box) => box.checked);
  });

  // Live parts wait while somebody points at them or is inside them, so that
  // nothing moves under a hand.
  document.addEventListener("htmx:sseBeforeMessage", (event) => {
    const part = event.target;
    if (part.matches("[data-hold]") && (part.matches(":hover") || part.contains(document.activeElement))) {
      event.preventDefault();
    }
  });
})();
