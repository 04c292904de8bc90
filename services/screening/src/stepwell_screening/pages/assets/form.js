/* Saves a form as it is filled in, switches on the questions that the answers ask for, shows help at once.
   Everything here also happens without it, when the form is sent. */
(() => {
  "use strict";
  const focused = document.querySelector("[data-focus]");
  if (focused) focused.focus();

  const form = document.getElementById("form");
  if (!form || !window.fetch || !window.URLSearchParams) return;
  const status = document.getElementById("status");
  const help = document.getElementById("help");
  const words = document.getElementById("progress-words");
  const progress = document.getElementById("progress");
  let timer = 0, running = false, again = false, leaving = false, wait = 2000, last = form;

  const say = (text) => { status.textContent = text; };

  const show = (answer) => {
    const enabled = new Set(answer.enabled);
    for (const each of form.querySelectorAll("fieldset.asked")) {
      const off = !enabled.has(each.dataset.for);
      each.hidden = off;
      each.disabled = off;
    }
    const counts = [...form.querySelectorAll("[data-count]")].filter((each) => !each.closest("[hidden]"));
    counts.forEach((each, index) => { if (answer.counts[index]) each.textContent = answer.counts[index]; });
    progress.max = answer.total || 1;
    progress.value = answer.answered;
    words.textContent = form.dataset.progress.replace("{answered}", answer.answered).replace("{total}", answer.total);
    if (help && answer.concern && help.hidden) {
      const question = last.closest(".question") || form;
      question.insertAdjacentElement("afterend", help);
      help.hidden = false;
      help.setAttribute("role", "alert");
      help.scrollIntoView({ block: "nearest" });
    }
  };

  const save = async () => {
    if (leaving) return;
    if (running) { again = true; return; }
    running = true;
    again = false;
    say(form.dataset.saving);
    const body = new URLSearchParams(new FormData(form));
    body.set("act", "save");
    try {
      const answer = await fetch(form.action, {
        method: "POST", body, credentials: "same-origin", headers: { Accept: "application/json" },
      });
      if (answer.status === 403 || answer.status === 410) { say(form.dataset.over); running = false; return; }
      if (!answer.ok) throw new Error(String(answer.status));
      show(await answer.json());
      say(form.dataset.saved);
      wait = 2000;
    } catch {
      say(form.dataset.trouble);
      again = false;
      clearTimeout(timer);
      timer = setTimeout(save, wait);
      wait = Math.min(wait * 2, 60000);
    }
    running = false;
    if (again) save();
  };

  const soon = (event, delay) => {
    last = event.target;
    clearTimeout(timer);
    timer = setTimeout(save, delay);
  };
  form.addEventListener("change", (event) => soon(event, 300));
  form.addEventListener("input", (event) => {
    if (/^(text|url|textarea)$/.test(event.target.type)) soon(event, 1500);
  });
  form.addEventListener("submit", () => { leaving = true; clearTimeout(timer); });
  document.addEventListener("visibilitychange", () => { if (document.hidden && timer) { clearTimeout(timer); save(); } });
})();
