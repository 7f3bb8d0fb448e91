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

// An address that is shown once is copied with one click.
for (const button of document.querySelectorAll("[data-copy]")) {
  if (!navigator.clipboard) continue;
  button.hidden = false;
  button.addEventListener("click", async () => {
    await navigator.clipboard.writeText(document.getElementById(button.dataset.copy).value);
    button.textContent = button.dataset.copied;
  });
}

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

// What is shown follows what happens: the server says that something changed, and the part is fetched again.
function refresh() {
  const shown = document.getElementById("live");
  if (!shown || shown.contains(document.activeElement)) return;
  htmx.ajax("GET", location.pathname + location.search, { target: "#live", select: "#live", swap: "outerHTML" });
}

const live = document.querySelector("[data-live]");
if (live && "EventSource" in window) {
  const source = new EventSource(live.dataset.live);
  source.addEventListener("reservation", refresh);
  source.addEventListener("rooms", refresh);
  let seen = false;
  source.addEventListener("watching", () => {
    if (seen) refresh(); // connected again: something may have been missed
    seen = true;
  });
  setInterval(refresh, 60000);
  window.addEventListener("pagehide", () => source.close());
}

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
