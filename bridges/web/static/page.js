// Live refresh, keys and the switch of colours. Every page works without this file, but for the live refresh.
// Text of others is never made into markup here: what is fetched is our own page, which the server escaped.
"use strict";

const LEAST_MS = 900; // between two refreshes
const TOLD_MS = 8000;
const TICK_MS = 20000;
const SETTLE_MS = 500; // so long no press decides on a card that may have come under the pointer just now
const $ = (selector) => document.querySelector(selector);

// --- live refresh: fetch this page anew, and change what differs, in place

const isTyped = (node) =>
  node.nodeType === 1 &&
  [node, ...node.querySelectorAll("input, textarea, select")].some(
    (field) => ("defaultValue" in field && field.type !== "hidden" && field.value !== field.defaultValue) ||
      (field === document.activeElement && field.matches("input, textarea, select")),
  );

const sameKind = (one, other) => one.nodeType === other.nodeType && one.nodeName === other.nodeName && (one.id || "") === (other.id || "");

function morph(old, fresh) {
  if (old.isEqualNode(fresh)) return;
  if (old.nodeType !== 1) {
    old.nodeValue = fresh.nodeValue;
    return;
  }
  for (const { name } of [...old.attributes]) {
    if (!fresh.hasAttribute(name) && name !== "open" && name !== "tabindex" && name !== "disabled") old.removeAttribute(name);
  }
  for (const { name, value } of fresh.attributes) {
    if (name !== "open" && old.getAttribute(name) !== value) old.setAttribute(name, value);
  }
  morphChildren(old, fresh);
}

function morphChildren(old, fresh) {
  const byId = new Map([...old.children].filter((one) => one.id).map((one) => [one.id, one]));
  let at = old.firstChild;
  for (const wanted of [...fresh.childNodes]) {
    const kept = wanted.id ? byId.get(wanted.id) : null;
    if (kept && kept.parentNode === old) {
      if (kept !== at) old.insertBefore(kept, at);
      else at = at.nextSibling;
      morph(kept, wanted);
    } else if (!wanted.id && at && sameKind(at, wanted)) {
      const next = at.nextSibling;
      morph(at, wanted);
      at = next;
    } else {
      const added = document.importNode(wanted, true);
      if (added.nodeType === 1 && added.matches("[data-item]")) added.classList.add("fresh");
      old.insertBefore(added, at);
    }
  }
  while (at) {
    const next = at.nextSibling;
    if (isTyped(at)) at.setAttribute("data-over", ""); // what was typed stays, and the card says that it is over
    else at.remove();
    at = next;
  }
}

const live = { running: false, again: false, failed: 0, read: new Set(), moved: 0 };
const cards = () => [...document.querySelectorAll(".card")].map((one) => one.id).join(" ");

function say(text) {
  const line = $("#trouble");
  if (line.textContent !== text) line.textContent = text;
  line.hidden = !text;
}

async function refresh() {
  if (document.hidden || !$("main[data-live]")) return;
  if (live.running) {
    live.again = true;
    return;
  }
  live.running = true;
  const began = performance.now();
  try {
    const reply = await fetch(location.href, { headers: { Accept: "text/html" } });
    if (reply.status === 401) return location.reload();
    if (!reply.ok) throw new Error(String(reply.status));
    const fresh = new DOMParser().parseFromString(await reply.text(), "text/html");
    const [focused, before] = [document.activeElement, cards()];
    for (const place of ["main", ".side nav"]) {
      const [old, wanted] = [$(place), fresh.querySelector(place)];
      if (old && wanted) morph(old, wanted);
    }
    if (cards() !== before) live.moved = performance.now();
    if (focused !== document.activeElement && focused?.isConnected) focused.focus({ preventScroll: true }); // it was moved
    document.title = fresh.title;
    noteRead();
    live.failed = 0;
    say("");
  } catch {
    live.failed += 1;
    say(GONE);
  }
  const took = performance.now() - began;
  setTimeout(() => {
    live.running = false;
    if (live.again || live.failed) {
      live.again = false;
      refresh();
    }
  }, Math.max(LEAST_MS, 4 * took, Math.min(live.failed, 8) * 500));
}

// --- what the person has before their eyes is read

async function noteRead() {
  const ids = [...document.querySelectorAll("[data-unread]")].map((one) => one.dataset.unread).filter((id) => !live.read.has(id));
  if (!ids.length || document.hidden) return;
  ids.forEach((id) => live.read.add(id));
  const body = JSON.stringify({ ids });
  const headers = { "Content-Type": "application/json" };
  await fetch("/act/ack", { method: "POST", headers, body }).catch(() => ids.forEach((id) => live.read.delete(id)));
}

const LOST = "The page has lost its connection. It tries again by itself.";
const GONE = "The service does not answer. This page tries again by itself.";

// A browser opens six connections to one server, over all tabs: so one tab holds the stream and tells the others.
function listen() {
  if (!$("main[data-live]")) return;
  const tabs = new BroadcastChannel("events");
  const hear = (word) => (word === "down" ? say(GONE) : word === "lost" ? say(LOST) : refresh());
  tabs.addEventListener("message", (event) => hear(event.data));
  const hold = () =>
    new Promise(() => {
      const tell = (word) => {
        tabs.postMessage(word);
        hear(word);
      };
      const events = new EventSource("/events");
      events.addEventListener("changed", () => tell("changed"));
      events.addEventListener("broker", (event) => tell(event.data));
      events.addEventListener("error", () => tell("lost"));
      events.addEventListener("open", () => tell("changed"));
    });
  if (navigator.locks) navigator.locks.request("events", hold);
  else hold();
  document.addEventListener("visibilitychange", refresh);
}

// --- moments: the same words as bridges/view/times.py

function ago(seconds) {
  if (seconds < 60) return "just now";
  const [size, unit] = seconds >= 86400 ? [86400, "day"] : seconds >= 3600 ? [3600, "h"] : [60, "min"];
  const count = Math.floor(seconds / size);
  return `${count} ${unit}${unit === "day" && count > 1 ? "s" : ""} ago`;
}

function tick() {
  for (const time of document.querySelectorAll("time.ago")) {
    const text = ago((Date.now() - Date.parse(time.dateTime)) / 1000);
    if (time.textContent !== text) time.textContent = text;
  }
  if ($("main[data-live='tick']")) refresh();
}

// --- colours: as the system has them, dark, light

const THEMES = ["", "dark", "light"];
const WORDS = { "": "Colours: auto", dark: "Colours: dark", light: "Colours: light" };

function setTheme(theme) {
  if (theme) document.documentElement.dataset.theme = theme;
  else delete document.documentElement.dataset.theme;
  $("#theme").textContent = WORDS[theme];
}

// --- keys

const GO = { n: "/", c: "/conversations", w: "/write", t: "/traffic", s: "/search", l: "/claims", d: "/dead", g: "/groups", m: "/charts", o: "/log", e: "/settings" };
let going = -Infinity; // when g was pressed

function step(by) {
  const items = [...document.querySelectorAll("[data-item]")];
  if (!items.length) return;
  const here = items.indexOf(document.activeElement?.closest("[data-item]"));
  const next = items[here < 0 ? (by > 0 ? 0 : items.length - 1) : Math.min(items.length - 1, Math.max(0, here + by))];
  if (!next.hasAttribute("tabindex")) next.tabIndex = -1;
  next.focus();
  next.scrollIntoView({ block: "nearest" });
}

function reply() {
  const item = document.activeElement?.closest("[data-item]");
  const field = item?.querySelector("textarea") ?? $("main textarea");
  field?.focus();
}

function open() {
  const item = document.activeElement;
  if (!item?.matches("[data-item]")) return false;
  const link = item.matches("a") ? item : item.querySelector("a[href]");
  link?.click();
  return Boolean(link);
}

function onKey(event) {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const typing = event.target.matches("input, textarea, select, [contenteditable]");
  if (event.key === "Escape") {
    if (typing) event.target.blur();
    return;
  }
  if (typing || $("#keys").open || !$("#use-keys").checked) return;
  const went = performance.now() - going < 1500;
  going = -Infinity;
  if (went && GO[event.key]) location.assign(GO[event.key]);
  else if (event.key === "g") going = performance.now();
  else if (event.key === "?") $("#keys").showModal();
  else if (event.key === "j") step(1);
  else if (event.key === "k") step(-1);
  else if (event.key === "r") reply();
  else if (event.key === "/") {
    const field = $("main input[type=search]");
    if (field) field.focus();
    else location.assign("/search");
  } else if (event.key !== "Enter" || !open()) return;
  event.preventDefault();
}

function start() {
  if (!$("#keys")) return; // the page to sign in
  $(".tools").hidden = false;
  const kept = /(?:^|; )theme=(dark|light)/.exec(document.cookie)?.[1] ?? "";
  setTheme(kept);
  $("#theme").addEventListener("click", () => {
    const now = document.documentElement.dataset.theme ?? "";
    const theme = THEMES[(THEMES.indexOf(now) + 1) % THEMES.length];
    document.cookie = `theme=${theme}; path=/; max-age=31536000; samesite=strict`;
    setTheme(theme);
  });
  const use = $("#use-keys");
  use.checked = localStorage.getItem("keys") !== "off";
  use.addEventListener("change", () => localStorage.setItem("keys", use.checked ? "on" : "off"));
  const told = $("#told");
  if (told) {
    const clean = new URL(location.href);
    clean.searchParams.delete("told");
    history.replaceState(null, "", clean);
    setTimeout(() => told.remove(), TOLD_MS);
  }
  $("#show-keys").addEventListener("click", () => $("#keys").showModal());
  document.addEventListener("keydown", onKey);
  document.addEventListener("submit", (event) => {
    if (event.target.matches("[action='/act/permission_decide']") && performance.now() - live.moved < SETTLE_MS) {
      event.preventDefault();
      return;
    }
    const button = event.submitter;
    if (button) setTimeout(() => (button.disabled = true)); // after its value was taken
  });
  addEventListener("pageshow", () => document.querySelectorAll("button[disabled]").forEach((one) => (one.disabled = false)));
  $(".side nav a[aria-current]")?.scrollIntoView({ block: "nearest", inline: "center" });
  tick();
  noteRead();
  document.addEventListener("visibilitychange", noteRead);
  setInterval(tick, TICK_MS);
  listen();
}

start();
