"use strict";
(function () {
  const all = (selector, root) => Array.from((root || document).querySelectorAll(selector));
  const make = (tag, text, name) => {
    const element = document.createElement(tag);
    element.textContent = text;
    if (name) element.className = name;
    return element;
  };

  // Buttons that copy what is to be pasted.
  const copy = (text, done) => {
    const old = () => {
      const area = document.createElement("textarea");
      area.value = text;
      area.setAttribute("aria-hidden", "true");
      document.body.appendChild(area);
      area.select();
      const copied = document.execCommand("copy");
      area.remove();
      done(copied);
    };
    if (navigator.clipboard && window.isSecureContext) {
      navigator.clipboard.writeText(text).then(() => done(true), old);
    } else {
      old();
    }
  };
  for (const block of all("pre.paste")) {
    const button = make("button", "Copy", "copy");
    button.type = "button";
    button.setAttribute("aria-label", "Copy " + (block.dataset.what || "this"));
    button.addEventListener("click", () => {
      copy(block.textContent, (copied) => {
        button.textContent = copied ? "Copied" : "Select and copy by hand";
        setTimeout(() => { button.textContent = "Copy"; }, 2000);
      });
    });
    block.parentNode.insertBefore(button, block);
  }

  // The filter over findings.
  const form = document.getElementById("filter");
  const findings = all("details.finding");
  const texts = new Map(findings.map((finding) => [finding, finding.textContent.toLowerCase()]));
  const filter = () => {
    const words = form.elements.words.value.toLowerCase().split(/\s+/).filter(Boolean);
    const severities = new Set(all("input[name=severity]:checked", form).map((box) => box.value));
    const sure = form.elements.confidence.value;
    const chapter = form.elements.chapter.value;
    let shown = 0;
    for (const finding of findings) {
      const data = finding.dataset;
      const text = texts.get(finding);
      const fits = severities.has(data.severity) && (!sure || data.confidence === sure)
        && (!chapter || data.chapter === chapter) && words.every((word) => text.includes(word));
      finding.hidden = !fits;
      shown += fits ? 1 : 0;
    }
    // What is looked for stands in the address, so that a link shows the same.
    if (words.length) {
      history.replaceState(null, "", "#search=" + encodeURIComponent(form.elements.words.value));
    } else if (location.hash.startsWith("#search=")) {
      history.replaceState(null, "", "#findings");
    }
    document.getElementById("shown").textContent =
      shown === findings.length ? "All " + shown + " findings" : shown + " of " + findings.length + " findings";
  };
  if (form && findings.length) {
    form.hidden = false;
    form.addEventListener("input", filter);
    form.addEventListener("submit", (event) => event.preventDefault());
    form.addEventListener("reset", () => setTimeout(filter, 0));
    for (const button of all("button[data-open]", form)) {
      button.addEventListener("click", () => {
        for (const finding of findings) if (!finding.hidden) finding.open = button.dataset.open === "true";
      });
    }
    if (location.hash.startsWith("#search=")) {
      try {
        form.elements.words.value = decodeURIComponent(location.hash.slice("#search=".length));
        form.scrollIntoView();
      } catch (error) {
        // Not an address of this page's making.
      }
    }
    filter();
  }

  // The filter over objects.
  const search = document.getElementById("object-search");
  if (search) {
    search.hidden = false;
    const rows = all("#objects-table tbody tr");
    search.addEventListener("input", () => {
      const word = search.querySelector("input").value.toLowerCase();
      for (const row of rows) row.hidden = !row.textContent.toLowerCase().includes(word);
    });
  }

  // A link to a finding that a filter hides, or that is closed, shows it.
  const reveal = () => {
    let target = null;
    try {
      target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
    } catch (error) {
      return;
    }
    const finding = target && target.closest("details.finding");
    if (finding) {
      finding.hidden = false;
      finding.open = true;
      finding.scrollIntoView();
    }
  };
  window.addEventListener("hashchange", reveal);
  reveal();

  // On paper everything is open but the list of what was checked.
  let closed = [];
  window.addEventListener("beforeprint", () => {
    closed = all("details:not([open]):not(.board)");
    for (const one of closed) one.open = true;
  });
  window.addEventListener("afterprint", () => {
    for (const one of closed) one.open = false;
  });
})();
