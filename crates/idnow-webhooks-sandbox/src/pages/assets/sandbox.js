// What the pages do on top of working: they follow changes without a reload, and tell times as "3 s ago".
"use strict";

const PAUSE = 250;
const COPIED = 1500;
const REOPEN = 10000;

/* Times */

const units = [["d", 86400], ["h", 3600], ["min", 60], ["s", 1]];

function relative(milliseconds) {
  const seconds = Math.abs(milliseconds) / 1000;
  if (seconds < 1) return "now";
  const [unit, size] = units.find(([, size]) => seconds >= size);
  const amount = `${Math.floor(seconds / size)} ${unit}`;
  return milliseconds > 0 ? `in ${amount}` : `${amount} ago`;
}

function tellTimes(root) {
  const now = Date.now();
  for (const time of root.querySelectorAll("time[datetime]")) {
    const at = Date.parse(time.dateTime);
    if (Number.isNaN(at)) continue;
    // What is due is under way, not in the past.
    const text = time.dataset.due !== undefined && at <= now ? "now" : relative(at - now);
    if (time.textContent !== text) time.textContent = text;
    const whole = `${new Date(at).toLocaleString()} (${time.dateTime})`;
    if (time.title !== whole) time.title = whole;
  }
}

/* Live updates: the server renders what has changed, by the template of the page, and it is put in place node by
   node, so that the focus, ticked boxes, opened details and selected text stay. */

const keyOf = (node) => (node.nodeType === Node.ELEMENT_NODE && node.id) || null;

function patch(old, fresh) {
  if (old.nodeType !== fresh.nodeType || old.nodeName !== fresh.nodeName || keyOf(old) !== keyOf(fresh)) {
    old.replaceWith(fresh);
    return;
  }
  if (old.nodeType !== Node.ELEMENT_NODE) {
    if (old.nodeValue !== fresh.nodeValue) old.nodeValue = fresh.nodeValue;
    return;
  }
  for (const { name } of [...old.attributes]) {
    const ours = name === "open" || name === "title" || name === "class" && old.classList.contains("fresh");
    if (!ours && !fresh.hasAttribute(name)) old.removeAttribute(name);
  }
  for (const { name, value } of [...fresh.attributes]) {
    // The titles of times are told by `tellTimes`.
    if (name === "title" && old.nodeName === "TIME") continue;
    if (old.getAttribute(name) !== value) old.setAttribute(name, value);
  }
  // Its text is told by `tellTimes`.
  if (old.nodeName !== "TIME") patchChildren(old, fresh);
}

function patchChildren(old, fresh) {
  const byKey = new Map([...old.children].filter(keyOf).map((child) => [child.id, child]));
  let next = old.firstChild;
  for (const child of [...fresh.childNodes]) {
    const known = keyOf(child) ? byKey.get(child.id) : null;
    if (known) {
      if (known === next) next = next.nextSibling;
      else old.insertBefore(known, next);
      patch(known, child);
    } else if (keyOf(child)) {
      // Not there before: rows that come while one looks are marked for a moment.
      if (child.nodeName === "TR" && byKey.size) child.classList.add("fresh");
      old.insertBefore(child, next);
    } else if (next && !keyOf(next)) {
      const after = next.nextSibling;
      patch(next, child);
      next = after;
    } else {
      old.insertBefore(child, next);
    }
  }
  while (next) {
    const after = next.nextSibling;
    next.remove();
    next = after;
  }
}

const told = new Map();

function announce() {
  const region = document.getElementById("told");
  for (const summary of document.querySelectorAll("[data-summary]")) {
    const text = summary.textContent.replace(/\s+/g, " ").trim();
    const before = told.get(summary.id);
    told.set(summary.id, text);
    if (before !== undefined && before !== text) region.textContent = text;
  }
}

function needScript(root) {
  for (const hidden of root.querySelectorAll("[data-needs-script]")) hidden.hidden = false;
}

let loading = false;
let again = false;

async function refresh() {
  if (loading) {
    again = true;
    return;
  }
  loading = true;
  try {
    const answer = await fetch(location.href, { headers: { "X-Fragment": "live" }, cache: "no-store" });
    // The page itself then tells what is wrong, or asks for the access token.
    if (answer.redirected) location.reload();
    if (!answer.ok || answer.redirected) return;
    const parsed = new DOMParser().parseFromString(await answer.text(), "text/html");
    needScript(parsed);
    for (const fresh of [...parsed.body.children]) {
      const old = fresh.id && document.getElementById(fresh.id);
      if (old) patch(old, document.adoptNode(fresh));
    }
    tellTimes(document);
    announce();
  } catch {
    // The server is away: the event source says so, and the next change brings everything.
  } finally {
    await new Promise((done) => setTimeout(done, PAUSE));
    loading = false;
    if (again) {
      again = false;
      refresh();
    }
  }
}

function follow() {
  const state = document.getElementById("link");
  const show = (name, text) => {
    state.hidden = false;
    state.dataset.state = name;
    state.textContent = text;
  };
  const kinds = [...document.body.dataset.follow.split(" "), "missed"];
  let source;
  let later;
  const open = () => {
    source = new EventSource("/manage/v1/changes");
    source.onopen = () => {
      show("live", "Live");
      // What has happened since the page was rendered, or the connection lost, was told to nobody.
      refresh();
    };
    source.onerror = () => {
      if (source.readyState !== EventSource.CLOSED) return show("lost", "Reconnecting");
      // Refused: there are too many pages, or one must sign in again. The browser does not try again by itself.
      show("lost", "Every 10 s");
      later = setTimeout(() => {
        refresh();
        open();
      }, REOPEN);
    };
    source.onmessage = (event) => {
      if (kinds.includes(JSON.parse(event.data).kind)) refresh();
    };
  };
  open();
  addEventListener("pagehide", () => {
    clearTimeout(later);
    source.close();
  });
  addEventListener("pageshow", (event) => {
    if (event.persisted) location.reload();
  });
}

/* Small helps */

addEventListener("click", async (event) => {
  const copy = event.target.closest("[data-copy]");
  if (!copy) return;
  await navigator.clipboard.writeText(document.getElementById(copy.dataset.copy).textContent);
  const label = copy.textContent;
  copy.textContent = "Copied";
  document.getElementById("told").textContent = "Copied";
  setTimeout(() => (copy.textContent = label), COPIED);
});

addEventListener("change", (event) => {
  if (!event.target.matches("[data-tick-all]")) return;
  for (const box of document.querySelectorAll(`input[name="${event.target.dataset.tickAll}"]`)) {
    box.checked = event.target.checked;
  }
});

addEventListener("animationend", (event) => event.target.closest?.("tr.fresh")?.classList.remove("fresh"));

needScript(document);
// A message of what was done is not told again on a reload.
const here = new URL(location.href);
if (here.searchParams.has("done")) {
  here.searchParams.delete("done");
  history.replaceState(null, "", here);
}
tellTimes(document);
announce();
setInterval(() => tellTimes(document), 1000);
if (document.body.dataset.follow) follow();
