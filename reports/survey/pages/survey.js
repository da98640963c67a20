"use strict";
/* One rater's way through the test. Every answer is kept in this browser first; with a server it is sent at once and
   kept in the outbox until the server has stored it. All text goes into the page as text, never as markup. */
(() => {
  const data = JSON.parse(document.getElementById("survey-data").textContent);
  const main = document.getElementById("main");
  const saved = document.getElementById("saved");
  const copy = document.getElementById("copy");
  const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZ";
  const paired = data.kind === "forced-choice";
  let state = null;
  let session = null;
  let view = null;

  // ---- small helpers -------------------------------------------------------------------------------------------
  function make(tag, attributes = {}, ...children) {
    const node = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) {
      if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
      else if (value === true) node.setAttribute(name, "");
      else if (value !== false && value !== null) node.setAttribute(name, value);
    }
    node.append(...children.filter((child) => child !== null));
    return node;
  }
  const mediaPath = (sound) => `${data.media}/${sound}.mp4`;
  const criteria = () => data.criteria.filter((criterion) => session.criteria.includes(criterion.name));
  const pageOf = (step) => session.pages.find((page) => page.id === step);
  const steps = () => ["consent", "guidelines", "sound", "latency", ...session.pages.map((page) => page.id), "done"];
  const keyOf = (page, sound, criterion) => `${page}|${sound}|${criterion}`;
  const answerOf = (page, sound, criterion) => state.answers[keyOf(page, sound, criterion)];

  // ---- storing -------------------------------------------------------------------------------------------------
  const storeName = (rater) => `clapstick:${data.plan}:${rater}`;
  function keep() {
    try {
      localStorage.setItem(storeName(state.rater), JSON.stringify(state));
      return true;
    } catch {
      tell("This browser keeps nothing between visits: please finish in one go.", true);
      return false;
    }
  }
  function tell(text, problem = false) {
    saved.textContent = text;
    saved.className = problem ? "problem" : "";
  }
  function answer(page, sound, criterion, value, seconds, plays) {
    state.revision += 1;
    const entry = { page, sound, criterion, value, revision: state.revision, seconds, plays };
    state.answers[keyOf(page, sound, criterion)] = entry;
    if (data.server) state.outbox.push(entry);
    if (keep() && !data.server) tell("Kept in this browser.");
    if (data.server) send();
  }
  let sending = false;
  let wait = 500;
  async function send() {
    if (sending || !state.outbox.length) return;
    sending = true;
    tell("Saving…");
    const batch = state.outbox.slice(0, 50);
    try {
      const reply = await fetch(`${data.server}/answers`, {
        method: "POST",
        headers: { "Content-Type": "application/json" },
        body: JSON.stringify({ answers: batch }),
      });
      if (!reply.ok && reply.status !== 429 && reply.status < 500) {
        tell(`The server refused an answer (${reply.status}). Please tell the experimenter; a copy is kept here.`, true);
        sending = false;
        return;
      }
      if (!reply.ok) throw new Error(String(reply.status));
      const stored = new Set((await reply.json()).stored);
      state.outbox = state.outbox.filter((entry) => !stored.has(entry.revision));
      keep();
      wait = 500;
      tell(state.outbox.length ? "Saving…" : "Saved on the server.");
    } catch {
      wait = Math.min(wait * 2, 15000);
      tell("No connection; your answers are kept here and sent when it is back.", true);
      setTimeout(send, wait);
      sending = false;
      return;
    }
    sending = false;
    if (state.outbox.length) send();
    else if (state.step === "done") show();
  }
  function file() {
    return JSON.stringify({
      format: 1,
      plan_sha256: data.plan,
      rater: state.rater,
      finished: session.pages.every(isAnswered),
      answers: Object.values(state.answers),
    }, null, 1);
  }
  function saveFile() {
    const link = make("a", {
      href: URL.createObjectURL(new Blob([file()], { type: "application/json" })),
      download: `answers-${state.rater}.json`,
    });
    document.body.append(link);
    link.click();
    link.remove();
    state.saved_file = true;
    keep();
  }
  copy.addEventListener("click", saveFile);

  // ---- what is complete ----------------------------------------------------------------------------------------
  const subjects = (page) => (paired ? ["choice"] : page.sounds);
  function isAnswered(page) {
    return subjects(page).every((sound) => session.criteria.every((name) => answerOf(page.id, sound, name)));
  }
  const timesHeard = (page, sound) => (state.heard[page.id] || {})[sound] || 0;
  const isHeard = (page) => !data.full_play || page.sounds.every((sound) => timesHeard(page, sound) > 0);

  // ---- moving on -----------------------------------------------------------------------------------------------
  function go(step) {
    state.step = step;
    keep();
    show();
  }
  function next() {
    const all = steps();
    go(all[all.indexOf(state.step) + 1]);
  }
  function show() {
    if (view && view.close) view.close();
    const all = steps();
    const at = all.indexOf(state.step);
    document.getElementById("progress").value = at / (all.length - 1);
    const page = pageOf(state.step);
    const pages = session.pages;
    document.getElementById("where").textContent = page ? `Page ${pages.indexOf(page) + 1} of ${pages.length}` : "";
    copy.hidden = !Object.keys(state.answers).length;
    const draw = { consent, guidelines, sound: soundCheck, latency: latencyCheck, done };
    view = page ? trial(page) : draw[state.step]();
    main.replaceChildren(...view.nodes);
    const heading = main.querySelector("h1");
    heading.tabIndex = -1;
    heading.focus();
    window.scrollTo(0, 0);
  }
  const heading = (text) => make("h1", {}, text);
  const paragraphs = (text) => text.trim().split(/\n\s*\n/).map((part) => make("p", {}, part));
  const actions = (...children) => make("div", { class: "actions" }, ...children);
  const mainButton = (text, act) => make("button", { type: "button", class: "main", onclick: act }, text);

  // ---- pages before the test -----------------------------------------------------------------------------------
  function who(message = "") {
    const field = make("input", { type: "text", id: "code", autocomplete: "off", spellcheck: "false", maxlength: "12" });
    const problem = make("p", { class: "problem", role: "alert" }, message);
    const form = make("form", {
      onsubmit: (event) => {
        event.preventDefault();
        const code = field.value.trim().toUpperCase();
        if (Object.hasOwn(data.sessions, code)) begin(code);
        else problem.textContent = "There is no such code in this test. It has five letters or digits.";
      },
    }, make("p", {}, make("label", { for: "code" }, "Your code "), field), problem,
      actions(make("button", { class: "main" }, "Begin")));
    main.replaceChildren(heading(data.title), make("p", {}, "Type the code that you were given."), form);
    field.focus();
  }
  function consent() {
    return {
      nodes: [heading(data.title), make("div", { class: "panel" }, ...paragraphs(data.consent)),
        actions(mainButton("I agree and want to take part", () => {
          if (!answerOf("checks", "consent", "given")) answer("checks", "consent", "given", 1, 0, 0);
          next();
        }))],
    };
  }
  function guidelines() {
    const parts = criteria().map((criterion) => {
      const own = data.examples.filter((example) => example.criterion === criterion.name);
      const scale = criterion.scale.length
        ? make("ol", { class: "scale" }, ...criterion.scale.map((text) => make("li", {}, text))) : null;
      const captions = paired ? ["A sound that fails here", "A sound that fits"]
        : ["Example for the lowest score", "Example for the highest score"];
      const figures = own.map((example) => make("figure", {},
        make("video", { src: mediaPath(example.sound), controls: true, preload: "metadata", playsinline: true,
          "aria-label": `${captions[example.score === 1 ? 0 : 1]}: ${criterion.title}` }),
        make("figcaption", {}, captions[example.score === 1 ? 0 : 1])));
      return make("section", { class: "panel" }, make("h2", {}, criterion.title), make("p", {}, criterion.question),
        make("p", {}, criterion.guideline), scale,
        figures.length ? make("div", { class: "examples" }, ...figures) : null);
    });
    return { nodes: [heading("What to do"), ...paragraphs(data.guidelines), ...parts, actions(mainButton("Go on", next))] };
  }
  function player(source, label) {
    const video = make("video", { src: source, preload: "auto", playsinline: true, "aria-label": label });
    const problem = make("p", { class: "problem", role: "alert" });
    video.addEventListener("error", () => { problem.textContent = "This video cannot be played here. Please try a current browser."; });
    return { video, node: make("div", {}, make("div", { class: "screen" }, video), problem) };
  }
  function soundCheck() {
    const { video, node } = player(`${data.check}/beeps.mp4`, "Sound check");
    const field = make("input", { type: "number", id: "beeps", min: "1", max: "9", required: true });
    const problem = make("p", { class: "problem", role: "alert" });
    let tries = 0;
    const form = make("form", {
      onsubmit: (event) => {
        event.preventDefault();
        tries += 1;
        if (Number(field.value) !== data.check_beeps) {
          problem.textContent = "That is not the number. Check your headphones and the volume, and listen again.";
          return;
        }
        answer("checks", "sound", "tries", Math.min(tries, 99), 0, 0);
        next();
      },
    }, make("p", {}, make("label", { for: "beeps" }, "How many beeps? "), field), problem,
      actions(make("button", { class: "main" }, "Go on")));
    return {
      nodes: [heading("Can you hear it?"),
        make("p", {}, "Put your headphones on, play the sound, and set a comfortable volume. Leave the volume alone after that."),
        make("div", { class: "trial" }, node, make("div", {},
          actions(make("button", { type: "button", onclick: () => { video.currentTime = 0; video.play(); } }, "Play the beeps")), form))],
    };
  }
  function latencyCheck() {
    const players = data.check_latency.map((name) => player(`${data.check}/${name}.mp4`, "Flash and click"));
    const problem = make("p", { class: "problem", role: "alert" });
    let tries = 0;
    const rows = players.map(({ video, node }, index) => make("section", { class: "panel" },
      make("h2", {}, `Video ${index + 1}`), node,
      actions(
        make("button", { type: "button", onclick: () => {
          players.forEach((other) => other.video.pause());
          video.currentTime = 0;
          video.play();
        } }, `Play video ${index + 1}`),
        make("button", { type: "button", onclick: () => {
          tries += 1;
          if (index !== data.check_in_time && tries < 3) {
            problem.textContent = "In another one they are closer together. Wireless headphones can delay the sound: use a cable, then try again.";
            return;
          }
          answer("checks", "latency", "tries", index === data.check_in_time ? tries : 99, 0, 0);
          next();
        } }, `Flash and click together in video ${index + 1}`))));
    return {
      nodes: [heading("Do picture and sound arrive together?"),
        make("p", {}, "In one of these videos the click comes with the flash; in the others it is early or late. Play all three and choose that one. (The picture flashes once a second.)"),
        make("div", { class: "threes" }, ...rows), problem],
    };
  }

  // ---- a page of the test --------------------------------------------------------------------------------------
  function trial(page) {
    const opened = performance.now();
    const seconds = () => Math.round((performance.now() - opened) / 100) / 10;
    let active = 0;
    const problem = make("p", { class: "problem", role: "alert" });
    const videos = page.sounds.map((sound, index) => {
      const video = make("video", { src: mediaPath(sound), preload: "auto", playsinline: true,
        class: index ? "off" : "", "aria-label": `Video with sound ${letters[index]}` });
      video.addEventListener("ended", () => {
        let length = 0;
        for (let part = 0; part < video.played.length; part += 1) length += video.played.end(part) - video.played.start(part);
        if (length >= 0.9 * video.duration) heard(sound);
      });
      video.addEventListener("play", refresh);
      video.addEventListener("pause", refresh);
      video.addEventListener("error", () => {
        problem.textContent = `Sound ${letters[index]} cannot be played here. Please try a current browser.`;
      });
      return video;
    });
    videos[0].addEventListener("loadedmetadata", () => {
      if (videos[0].videoWidth) screen.style.aspectRatio = `${videos[0].videoWidth} / ${videos[0].videoHeight}`;
    });
    const screen = make("div", { class: "screen" }, ...videos);
    const marks = page.sounds.map(() => make("small"));
    const tabs = page.sounds.map((_, index) => make("button", { type: "button", onclick: () => choose(index, true) },
      `Sound ${letters[index]}`, marks[index]));
    const playButton = make("button", { type: "button", onclick: toggle }, "Play");
    const scales = make("div", { class: "panel" });
    const nextButton = mainButton("Next page", leave);

    function heard(sound) {
      state.heard[page.id] = state.heard[page.id] || {};
      state.heard[page.id][sound] = timesHeard(page, sound) + 1;
      keep();
      refresh();
    }
    function toggle() {
      const video = videos[active];
      if (video.paused) {
        if (video.ended) video.currentTime = 0;
        video.play();
      } else video.pause();
    }
    function choose(index, play) {
      const old = videos[active];
      const at = old.ended ? 0 : old.currentTime;
      old.pause();
      old.classList.add("off");
      const changed = index !== active;
      active = index;
      const video = videos[active];
      video.classList.remove("off");
      if (changed) video.currentTime = at;
      if (play) {
        if (video.ended) video.currentTime = 0;
        video.play();
      }
      if (changed && !paired) drawScales();
      refresh();
    }
    function refresh() {
      tabs.forEach((tab, index) => {
        tab.setAttribute("aria-pressed", String(index === active));
        const sound = page.sounds[index];
        const complete = !paired && session.criteria.every((name) => answerOf(page.id, sound, name));
        marks[index].textContent = `${timesHeard(page, sound) ? "heard" : "not heard"}${paired ? "" : complete ? ", answered" : ", open"}`;
      });
      playButton.textContent = videos[active].paused ? "Play" : "Pause";
      nextButton.setAttribute("aria-disabled", String(!(isAnswered(page) && isHeard(page))));
    }
    function drawScales() {
      const subject = paired ? "choice" : page.sounds[active];
      const title = paired ? "Choose one sound for each question" : `Sound ${letters[active]}`;
      scales.replaceChildren(make("h2", {}, title), ...criteria().map((criterion) => scale(subject, criterion)));
    }
    function scale(subject, criterion) {
      const count = paired ? page.sounds.length : criterion.scale.length;
      const given = answerOf(page.id, subject, criterion.name);
      const meaning = make("p", { class: "meaning" });
      const explain = (value) => { meaning.textContent = paired ? "" : criterion.scale[value - 1] || ""; };
      const labels = Array.from({ length: count }, (_, index) => {
        const value = index + 1;
        const input = make("input", { type: "radio", name: `${subject}-${criterion.name}`, value,
          checked: Boolean(given && given.value === value),
          onchange: () => {
            const sounds = paired ? page.sounds : [subject];
            answer(page.id, subject, criterion.name, value, seconds(), Math.min(...sounds.map((sound) => timesHeard(page, sound))));
            explain(value);
            refresh();
          } });
        return make("label", { title: paired ? "" : criterion.scale[index] }, input, paired ? `Sound ${letters[index]}` : String(value));
      });
      if (given) explain(given.value);
      return make("fieldset", { "data-criterion": criterion.name },
        make("legend", {}, page.kind === "attention" ? attentionText() : criterion.question),
        make("div", { class: "choices" }, ...labels), meaning);
    }
    const attentionText = () => (paired ? "Choose the sound with more beeps." : "How many beeps do you hear?");
    function leave() {
      const open = page.sounds.findIndex((sound) => !paired && !session.criteria.every((name) => answerOf(page.id, sound, name)));
      const unheard = data.full_play ? page.sounds.findIndex((sound) => !timesHeard(page, sound)) : -1;
      if (unheard >= 0) {
        problem.textContent = `Please play sound ${letters[unheard]} to its end first.`;
        choose(unheard, false);
      } else if (!isAnswered(page)) {
        problem.textContent = paired ? "Please answer every question." : `Please answer every question for sound ${letters[open]}.`;
        if (open >= 0) choose(open, false);
      } else next();
    }
    function digit(value) {
      const sets = [...scales.querySelectorAll("fieldset")];
      const focused = sets.find((set) => set.contains(document.activeElement));
      const target = focused || sets.find((set) => !set.querySelector("input:checked")) || sets[0];
      const input = target.querySelectorAll("input")[value - 1];
      if (!input) return;
      input.click();
      const after = sets.slice(sets.indexOf(target) + 1).find((set) => !set.querySelector("input:checked"));
      if (after) after.querySelector("input").focus();
      else input.focus();
    }
    function onKey(event) {
      if (event.ctrlKey || event.metaKey || event.altKey) return;
      const onControl = ["BUTTON", "INPUT", "A"].includes(event.target.tagName);
      const letter = letters.indexOf(event.key.toUpperCase());
      if (/^[1-9]$/.test(event.key)) digit(Number(event.key));
      else if (event.key.length === 1 && letter >= 0 && letter < page.sounds.length) choose(letter, true);
      else if (event.key.toUpperCase() === "P") toggle();
      else if (event.key === " " && !onControl) toggle();
      else if (event.key === "Enter" && event.target.tagName !== "BUTTON") leave();
      else return;
      event.preventDefault();
    }
    document.addEventListener("keydown", onKey);
    drawScales();
    refresh();
    const title = page.kind === "training" ? "Practice" : page.kind === "attention" ? "Attention: count the beeps" : "Listen and answer";
    const note = page.kind === "training" ? "This page is for practice; its answers are not used."
      : page.kind === "attention" ? (paired ? "The two sounds are beeps. Choose the one with more beeps, for every question."
        : "This sound is a number of beeps. Give that number as your answer to every question.") : null;
    const last = letters[page.sounds.length - 1];
    const keys = make("p", { class: "keys" }, make("kbd", {}, page.sounds.length > 1 ? `A–${last}` : "A"), " play a sound, ",
      make("kbd", {}, "P"), " play or pause, ", make("kbd", {}, paired ? "1–2" : "1–5"), " answer, ", make("kbd", {}, "Enter"), " next page");
    return {
      nodes: [heading(title), note ? make("p", {}, note) : null,
        make("div", { class: "trial" },
          make("div", {}, screen, make("div", { class: "sounds", role: "group", "aria-label": "Sounds" }, ...tabs), actions(playButton), keys),
          make("div", {}, scales, problem, actions(nextButton)))].filter(Boolean),
      close() {
        document.removeEventListener("keydown", onKey);
        videos.forEach((video) => { video.pause(); video.removeAttribute("src"); video.load(); });
      },
    };
  }

  // ---- the end -------------------------------------------------------------------------------------------------
  function done() {
    const nodes = [heading("Thank you")];
    if (!data.server) {
      nodes.push(make("p", {}, "That was the last page. Save your answers as a file and send it back to the experimenter."),
        actions(mainButton("Save my answers", saveFile)),
        make("p", { class: "keys" }, "Your answers stay in this browser until you clear its data."));
    } else if (state.outbox.length) {
      nodes.push(make("p", {}, "Your last answers are being sent. Please keep this page open for a moment."));
      send();
    } else {
      const place = make("div", {}, make("p", { class: "done" }, "All answers are stored. You may close this page."));
      nodes.push(place);
      fetch(`${data.server}/finish`, { method: "POST" }).then(async (reply) => {
        if (!reply.ok) throw new Error(String(reply.status));
        const { code } = await reply.json();
        if (code) place.append(make("p", {}, "Your completion code:"), make("p", { class: "code" }, code));
      }).catch(() => tell("The end could not be reported; load this page again.", true));
    }
    return { nodes };
  }

  // ---- the beginning -------------------------------------------------------------------------------------------
  async function begin(rater) {
    session = data.sessions[rater];
    const fresh = { rater, step: "consent", answers: {}, heard: {}, outbox: [], revision: 0 };
    let stored = null;
    try { stored = JSON.parse(localStorage.getItem(storeName(rater))); } catch { /* kept nothing */ }
    state = stored && stored.rater === rater ? { ...fresh, ...stored } : fresh;
    if (data.server) await merge();
    if (!steps().includes(state.step)) state.step = "consent";
    show();
    send();
  }
  async function merge() {
    try {
      const reply = await fetch(`${data.server}/answers`);
      if (!reply.ok) return;
      for (const entry of (await reply.json()).answers) {
        const name = keyOf(entry.page, entry.sound, entry.criterion);
        const own = state.answers[name];
        if (!own || own.revision < entry.revision) state.answers[name] = entry;
        state.revision = Math.max(state.revision, entry.revision);
      }
    } catch { return; }
    if (state.step === "consent" && answerOf("checks", "consent", "given")) {
      const open = session.pages.find((page) => !isAnswered(page));
      const checked = ["sound", "latency"].find((name) => !answerOf("checks", name, "tries"));
      state.step = checked ? "guidelines" : open ? open.id : "done";
      for (const page of session.pages.filter(isAnswered)) {
        state.heard[page.id] = Object.fromEntries(page.sounds.map((sound) => [sound, 1]));
      }
    }
  }
  const asked = decodeURIComponent(location.hash.slice(1)).toUpperCase();
  const codes = Object.keys(data.sessions);
  if (data.server && codes.length === 1) begin(codes[0]);
  else if (Object.hasOwn(data.sessions, asked)) begin(asked);
  else who(asked ? `There is no code “${asked}” in this test.` : "");
})();
