/**
 * The console does these things better with JavaScript: times also in the reader's own zone, relative times that stay
 * true, and a first page that is fresh every 30 s unless somebody is reading its numbers. Plain, for no build step
 * follows.
 */
export const script = `"use strict";
const ago = (ms) => {
  const s = Math.round(Math.abs(ms) / 1000);
  if (s < 5) return "just now";
  const [n, unit] = s < 90 ? [s, "s"] : s < 5400 ? [Math.round(s / 60), "min"] : s < 172800 ? [Math.round(s / 3600), "h"] : [Math.round(s / 86400), "d"];
  return ms < 0 ? "in " + n + " " + unit : n + " " + unit + " ago";
};
const refreshTimes = () => {
  for (const time of document.querySelectorAll("time")) {
    const at = new Date(time.dateTime);
    time.title = at.toLocaleString() + " here";
    if (time.className === "ago") time.textContent = ago(Date.now() - at);
  }
};
const refreshPage = async () => {
  const main = document.querySelector("main[data-fresh]");
  if (!main || document.hidden || main.contains(document.activeElement) || main.querySelector("details[open]")) return;
  const answer = await fetch(location.href, { cache: "no-store" }).catch(() => undefined);
  if (answer?.status === 401) return location.reload();
  if (!answer?.ok) return;
  const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
  for (const part of main.children) {
    const other = fresh.getElementById(part.id);
    if (part.id && other && part.textContent !== other.textContent) {
      part.className = other.className;
      part.replaceChildren(...other.childNodes);
    }
  }
  refreshTimes();
};
refreshTimes();
setInterval(refreshTimes, 10000);
setInterval(refreshPage, 30000);
`;
