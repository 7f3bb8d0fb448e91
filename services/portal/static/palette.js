// The search that opens over every page, by its button or Ctrl-K: a combobox whose choices come from the server.
"use strict";

(() => {
  const opener = document.querySelector("[data-palette]");
  const template = document.getElementById("palette");
  if (!opener || !template || !window.HTMLDialogElement) return;

  const mac = /Mac|iP(hone|ad|od)/.test(navigator.platform);
  const keys = opener.querySelector("kbd");
  keys.textContent = mac ? "⌘ K" : "Ctrl K";
  keys.hidden = false;

  let dialog, input, fault;

  function build() {
    dialog = template.content.firstElementChild.cloneNode(true);
    document.body.append(dialog);
    input = dialog.querySelector("input");
    fault = dialog.querySelector(".fault");
    htmx.process(dialog);
    input.addEventListener("keydown", steer);
    input.addEventListener("input", () => choose(null)); // what stands there is of what was typed before
    dialog.querySelector("form").addEventListener("submit", follow);
    dialog.querySelector("[data-close]").addEventListener("click", () => dialog.close());
    dialog.addEventListener("click", (event) => {
      if (event.target === dialog || event.target.closest("[role=option]")) dialog.close(); // beside it, or away
    });
    dialog.addEventListener("htmx:afterSwap", () => {
      fault.hidden = true;
      input.setAttribute("aria-expanded", String(hits().length > 0));
      choose(input.value ? hits()[0] : null);
    });
    for (const what of ["htmx:responseError", "htmx:sendError"]) {
      dialog.addEventListener(what, () => (fault.hidden = false));
    }
  }

  const hits = () => [...dialog.querySelectorAll("[role=option]")];
  const chosen = () => dialog.querySelector("[aria-selected=true]");

  function choose(hit) {
    chosen()?.setAttribute("aria-selected", "false");
    if (hit) {
      hit.setAttribute("aria-selected", "true");
      hit.scrollIntoView({ block: "nearest" });
      input.setAttribute("aria-activedescendant", hit.id);
    } else {
      input.removeAttribute("aria-activedescendant");
    }
  }

  function steer(event) {
    if (event.isComposing) return; // the keys are the input method's
    if (event.key === "Escape") {
      event.preventDefault(); // else a search field would only be emptied by it
      return dialog.close();
    }
    const all = hits();
    const at = all.indexOf(chosen());
    const to = { ArrowDown: at + 1, ArrowUp: at < 0 ? all.length - 1 : at - 1 }[event.key];
    if (to === undefined || !all.length) return;
    event.preventDefault();
    choose(all[(to + all.length) % all.length]);
  }

  // Enter opens what is chosen; without a choice the form leads to the page of the search.
  function follow(event) {
    if (!chosen()) return;
    event.preventDefault();
    chosen().click();
  }

  function open() {
    if (!dialog) build();
    if (dialog.open) return;
    dialog.showModal();
    input.select();
    htmx.trigger(input, "open");
  }

  opener.addEventListener("click", (event) => {
    if (event.ctrlKey || event.metaKey || event.shiftKey) return; // in another tab
    event.preventDefault();
    open();
  });
  document.addEventListener("keydown", (event) => {
    if (event.key.toLowerCase() !== "k" || !(event.ctrlKey || event.metaKey) || event.altKey || event.shiftKey) return;
    event.preventDefault();
    open();
  });
})();
