// What the pages do beyond links and forms: nothing here is needed for booking.
"use strict";

// A form is sent once: the second click of a double click does nothing.
document.addEventListener("submit", (event) => {
  const form = event.target;
  if (!form.matches("[data-once]") || event.defaultPrevented) return;
  if (form.dataset.sent) {
    event.preventDefault();
    return;
  }
  form.dataset.sent = "yes";
  form.setAttribute("aria-busy", "true");
});

// Back from another page: the form can be sent again.
window.addEventListener("pageshow", () => {
  for (const form of document.querySelectorAll("[data-sent]")) {
    delete form.dataset.sent;
    form.removeAttribute("aria-busy");
  }
});

// What is shown to be taken along is copied with one click.
function offerCopies() {
  if (!navigator.clipboard) return;
  for (const button of document.querySelectorAll("[data-copy]")) button.hidden = false;
}
offerCopies();
document.addEventListener("click", async (event) => {
  const button = event.target.closest("[data-copy]");
  if (!button) return;
  const shown = document.getElementById(button.dataset.copy);
  await navigator.clipboard.writeText(shown.value ?? shown.textContent.trim());
  button.textContent = button.dataset.copied;
});

// A service was away: what was typed is sent again by itself, and a page is asked for again.
for (const again of document.querySelectorAll("[data-retry]")) {
  const retry = () => (again.requestSubmit ? again.requestSubmit() : again.click());
  setTimeout(retry, Number(again.dataset.retry) * 1000);
}

// A table could not be fetched: what stands there is from before, and says so.
for (const what of ["htmx:responseError", "htmx:sendError"]) {
  document.addEventListener(what, (event) => {
    if (!event.target.matches("[data-rows]")) return;
    const fault = document.querySelector("#rows .fault");
    fault.querySelector("a").href = event.detail.pathInfo.finalRequestPath;
    fault.hidden = false;
  });
}

// What is shown follows what happens: the server says that something changed, and the parts are fetched again. What
// somebody is at stays: the focus, what is unfolded, what is typed and not sent.
const live = document.querySelector("[data-live]");
const PAUSE = 400; // milliseconds: of what changes many times in a moment
let refreshing = false;
let again = false;

function touched(node) {
  if (node.matches("input[type=checkbox], input[type=radio]")) return node.checked !== node.defaultChecked;
  if (node.matches("select")) return [...node.options].some((each) => each.selected !== each.defaultSelected);
  return node.matches("input, textarea") && node.value !== node.defaultValue;
}

const KEEPING = {
  beforeNodeMorphed: (old) => !(old instanceof Element && touched(old)),
  beforeAttributeUpdated: (name, node) => !(name === "open" && node.matches("details")),
};

async function refresh() {
  if (refreshing) {
    again = true;
    return;
  }
  refreshing = true;
  again = false;
  try {
    const answer = await fetch(location.href, { headers: { accept: "text/html" } });
    if (answer.redirected) return location.reload(); // signed out meanwhile
    if (!answer.ok) return;
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    for (const name of (live.dataset.parts || "#live").split(", ")) {
      const [old, now] = [document.querySelector(name), page.querySelector(name)];
      if (!old) continue;
      if (!now) return location.reload(); // it has become another page
      Idiomorph.morph(old, now, { ignoreActiveValue: true, callbacks: KEEPING });
      htmx.process(document.querySelector(name));
    }
    offerCopies();
  } catch {
    // the stream says that the connection is lost
  } finally {
    setTimeout(() => {
      refreshing = false;
      if (again) refresh();
    }, PAUSE);
  }
}

if (live && "EventSource" in window) {
  const lost = document.querySelector("[data-lost]");
  const source = new EventSource(live.dataset.live);
  for (const what of ["reservation", "rooms", "meetings"]) source.addEventListener(what, refresh);
  let seen = false;
  source.addEventListener("watching", () => {
    if (lost) lost.hidden = true;
    if (seen) refresh(); // connected again: something may have been missed
    seen = true;
  });
  source.addEventListener("error", () => {
    if (lost) lost.hidden = false;
  });
  setInterval(refresh, 60000);
  window.addEventListener("pagehide", () => source.close());
}

// What is done to one of many is chosen in a dialog; without script it is a page.
const panel = document.querySelector("dialog[data-panel]");
document.addEventListener("htmx:afterSwap", (event) => {
  if (event.target === panel && !panel.open) panel.showModal();
});
document.addEventListener("click", (event) => {
  if (panel && (event.target === panel || event.target.closest("[data-close-panel]"))) panel.close();
});

// A file that is too large is refused before it travels.
for (const input of document.querySelectorAll("input[data-most]")) {
  input.addEventListener("change", () => {
    const large = [...input.files].some((file) => file.size > Number(input.dataset.most));
    input.setCustomValidity(large ? input.dataset.tooLarge : "");
    if (large) input.reportValidity();
  });
}

// What was chosen among what a search found stays, whatever is searched for next; and nothing is offered twice.
document.addEventListener("change", (event) => {
  const option = event.target.closest(".found .option");
  if (!option || !event.target.checked) return;
  option.parentElement.previousElementSibling.before(option); // before the field of the search
  event.target.focus();
});
document.addEventListener("htmx:afterSwap", (event) => {
  const found = event.target;
  if (!found.matches(".found")) return;
  const kept = [...found.parentElement.querySelectorAll(":scope > .option input")].map((input) => input.value);
  for (const option of found.querySelectorAll(".option")) {
    if (kept.includes(option.querySelector("input").value)) option.remove();
  }
});

// Enter in a search within a form looks for people, and does not send the form.
document.addEventListener("keydown", (event) => {
  if (event.key === "Enter" && !event.isComposing && event.target.matches(".finder input")) event.preventDefault();
});

// Rows of a table that are ticked: one box for all of them, and how many they are.
const boxes = () => [...document.querySelectorAll("#rows [name=pick]")];

function count() {
  const words = document.querySelector("[data-count]");
  const all = document.querySelector("[data-all]");
  if (!words || !all) return;
  const ticked = boxes().filter((box) => box.checked).length;
  words.textContent = words.dataset.count.replace("{}", ticked);
  all.closest("label").hidden = false;
  all.checked = ticked > 0 && ticked === boxes().length;
  all.indeterminate = ticked > 0 && !all.checked;
}

document.addEventListener("change", (event) => {
  if (event.target.matches("[data-all]")) for (const box of boxes()) box.checked = event.target.checked;
  if (event.target.matches("[data-all], [name=pick]")) count();
});
document.addEventListener("htmx:afterSettle", count);
window.addEventListener("pageshow", count);
