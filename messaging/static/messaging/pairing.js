/* The pairing page: asks how it stands every two seconds, and shows a new code when there is one.
   Without this script the page's buttons do the same. All words come from the server. */
"use strict";

(() => {
  const VISIBLE = 2000, HIDDEN = 20000, SLOWEST = 60000;

  function begin() {
    const root = document.querySelector("[data-pairing]");
    if (!root || root.dataset.state !== "waiting") return;
    const find = (name) => root.querySelector(`[data-pairing-${name}]`);
    const form = find("form");
    let timer = 0, left = 0, failures = 0, over = false, asking = false;

    function show(name, text) {
      const element = find(name);
      if (!element) return;
      element.textContent = text;
      element.hidden = !text;
    }

    function stop(text) {
      over = true;
      clearTimeout(timer);
      if (text) show("trouble", text);
    }

    function plan() {
      if (over) return;
      clearTimeout(timer);
      const wait = document.hidden ? HIDDEN : Math.min(SLOWEST, VISIBLE * 2 ** failures);
      timer = setTimeout(ask, wait);
    }

    function showCode(address) {
      const image = find("code"), wait = find("wait");
      if (!image || !address || image.getAttribute("src") === address) return;
      const isFirst = image.hidden;
      if (!isFirst) show("new", root.dataset.newCode);
      image.addEventListener("load", () => {
        image.hidden = false;
        wait.hidden = true;
        show("new", "");
      }, {once: true});
      image.src = address;
    }

    function change(data) {
      find("panel").innerHTML = data.panel;
      const words = find("words");
      words.textContent = data.words;
      words.className = `messaging-pill messaging-pairing-${data.state}`;
      root.dataset.state = data.state;
      // Beside what is seen, for those who listen.
      find("live").textContent = `${data.words}.`;
    }

    function apply(data) {
      failures = 0;
      show("trouble", "");
      if (data.panel) change(data);
      if (data.state !== "waiting") return stop("");
      left = data.left;
      show("time", data.time);
      show("error", data.error);
      const bar = find("left");
      if (bar) bar.value = left;
      showCode(data.code);
    }

    async function ask() {
      if (asking || over) return;
      asking = true;
      const body = new FormData(form);
      body.set("state", root.dataset.state);
      try {
        const response = await fetch(root.dataset.pairing, {
          method: "POST", body, credentials: "same-origin", redirect: "manual",
        });
        if (response.type === "opaqueredirect") stop(root.dataset.signedOut);
        else if (response.status === 403 || response.status === 404) stop(root.dataset.forbidden);
        else if (!response.ok) throw new Error(String(response.status));
        else apply(await response.json());
      } catch {
        failures += 1;
        show("trouble", root.dataset.offline);
      } finally {
        asking = false;
        plan();
      }
    }

    document.addEventListener("visibilitychange", () => { if (!document.hidden) ask(); });
    ask();
  }

  if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", begin);
  else begin();
})();
