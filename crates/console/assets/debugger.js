// The live part of the debugger: new rows, rows that changed, pause, keys.
// Without it the page shows the newest events, and a link loads it again.
"use strict";

(() => {
  const MAX_ROWS = 200;
  const MAX_OPEN = 100;
  const MAX_WAIT_MS = 30000;

  const feed = document.getElementById("feed");
  const rows = document.getElementById("rows");
  if (!feed || !rows || !window.EventSource) return;
  const empty = document.getElementById("empty");
  const live = document.getElementById("live");
  const status = document.getElementById("status");
  const held = document.getElementById("held");
  const pause = document.getElementById("pause");
  const detail = document.getElementById("detail");

  const address = new URL(feed.dataset.live, location.href);
  let source = null;
  let retry = null;
  let waitMs = 1000;
  let paused = false;
  let waiting = []; // rows that came while somebody was looking, oldest first

  const say = (kind, text) => {
    live.className = `state ${kind}`;
    if (live.textContent !== text) live.textContent = text;
  };

  const row = (html) => {
    const template = document.createElement("template");
    template.innerHTML = html.trim();
    return template.content.firstElementChild;
  };

  const settle = (tr) => {
    window.htmx?.process(tr);
    if (tr.id === selected) select(tr);
  };

  // Which row is beside the table.
  let selected = rows.querySelector("tr[aria-selected]")?.id ?? null;
  const select = (tr) => {
    for (const other of rows.querySelectorAll("tr[aria-selected]")) {
      other.removeAttribute("aria-selected");
      other.querySelector("a")?.removeAttribute("aria-current");
    }
    selected = tr.id;
    tr.setAttribute("aria-selected", "true");
    tr.querySelector("a")?.setAttribute("aria-current", "true");
  };

  // Nothing moves under a hand, and nothing under the keyboard's focus.
  const isHeld = () => rows.matches(":hover") || rows.contains(document.activeElement);

  const show = () => {
    for (const sent of waiting) {
      if (document.getElementById(sent.id)) continue;
      const tr = row(sent.html);
      rows.prepend(tr);
      settle(tr);
    }
    waiting = [];
    while (rows.rows.length > MAX_ROWS) rows.rows[rows.rows.length - 1].remove();
    empty.hidden = rows.rows.length > 0;
    held.hidden = true;
  };

  const change = (sent) => {
    const late = waiting.find((one) => one.id === sent.id);
    if (late) late.html = sent.html;
    const there = document.getElementById(sent.id);
    if (!there) return;
    const hadFocus = there.contains(document.activeElement);
    const tr = row(sent.html);
    there.replaceWith(tr);
    settle(tr);
    if (hadFocus) tr.querySelector("a")?.focus({ preventScroll: true });
  };

  const found = (message) => {
    waitMs = 1000;
    say("ok", "live");
    address.searchParams.set("after", message.after);
    status.textContent = message.status;
    for (const sent of message.changed) change(sent);
    waiting.push(...message.rows);
    if (waiting.length > MAX_ROWS) waiting.splice(0, waiting.length - MAX_ROWS);
    if (!isHeld()) return show();
    held.hidden = waiting.length === 0;
    held.textContent = `${waiting.length} new, shown when you look away`;
  };

  const stop = () => {
    clearTimeout(retry);
    source?.close();
    source = null;
  };

  const again = (kind, text) => {
    stop();
    say(kind, text);
    retry = setTimeout(start, waitMs);
    waitMs = Math.min(waitMs * 2, MAX_WAIT_MS);
  };

  function start() {
    stop();
    address.searchParams.delete("open");
    const open = [...rows.querySelectorAll("tr[data-open]")].slice(0, MAX_OPEN);
    for (const tr of open) address.searchParams.append("open", tr.dataset.open);
    source = new EventSource(address);
    source.addEventListener("found", (event) => found(JSON.parse(event.data)));
    source.addEventListener("trouble", (event) => say("warn", JSON.parse(event.data)));
    source.addEventListener("full", (event) => {
      waitMs = MAX_WAIT_MS;
      again("idle", `not live: ${JSON.parse(event.data)}`);
    });
    // The server ends each stream after a while, so this is seldom trouble.
    source.addEventListener("error", () => again("idle", "connecting"));
  }

  pause.addEventListener("click", () => {
    paused = !paused;
    pause.setAttribute("aria-pressed", String(paused));
    pause.textContent = paused ? "Resume" : "Pause";
    if (paused) {
      stop();
      say("idle", "paused");
    } else {
      start();
    }
  });

  const look = () => { if (waiting.length > 0 && !isHeld() && !paused) show(); };
  rows.addEventListener("mouseleave", look);
  rows.addEventListener("focusout", () => setTimeout(look));

  // A row is as good as its link.
  rows.addEventListener("click", (event) => {
    const tr = event.target.closest("tr");
    if (!tr) return;
    select(tr);
    if (!event.target.closest("a") && getSelection().isCollapsed) tr.querySelector("a")?.click();
  });

  // Up and down go from row to row; Enter is the link's own.
  document.addEventListener("keydown", (event) => {
    if (event.key !== "ArrowDown" && event.key !== "ArrowUp") return;
    if (event.altKey || event.ctrlKey || event.metaKey || event.shiftKey) return;
    const from = document.activeElement?.closest("#rows tr");
    if (!from) return;
    const to = event.key === "ArrowDown" ? from.nextElementSibling : from.previousElementSibling;
    event.preventDefault();
    to?.querySelector("a")?.focus();
  });

  // Another event's detail is read from its beginning.
  document.addEventListener("htmx:afterSwap", (event) => {
    if (event.target === detail) detail.scrollTop = 0;
  });

  // The page is let go while nobody sees it, which gives another its place.
  document.addEventListener("visibilitychange", () => {
    if (paused) return;
    if (document.hidden) {
      stop();
    } else {
      start();
    }
  });

  document.getElementById("reload").hidden = true;
  pause.hidden = false;
  start();
})();
