// The clip browser: a list that holds as many rows as fit, filters, orders, keys and links.
"use strict";
(() => {
  const { load, drop, make, makePlayer, envelopes } = window.clapstick;
  const INDEX = "data/clips.js";
  const ROW_PIXELS = 46;
  const SPARE_ROWS = 6;
  const STEP_S = 0.1;
  const at = (id) => document.getElementById(id);

  const section = at("clips");
  const list = at("clip-list");
  const spacer = at("clip-spacer");
  const rows = at("rows");
  const controls = {
    metric: at("sort-metric"),
    system: at("sort-system"),
    order: at("sort-order"),
    material: at("filter-material"),
    action: at("filter-action"),
    seen: at("filter-seen"),
    text: at("filter-text"),
  };

  let index = null;
  let shown = [];
  let current = null;
  let sounds = new Map();
  let following = false;

  const player = makePlayer(at("video"), (position, duration) => {
    rows.style.setProperty("--position", duration ? position / duration : 0);
    at("clock").textContent = `${position.toFixed(2)} s`;
    at("seek").value = duration ? Math.round((position / duration) * 1000) : 0;
    at("seek").setAttribute("aria-valuetext", `${position.toFixed(2)} of ${duration.toFixed(2)} seconds`);
    if (at("play").dataset.playing !== String(player.playing)) {
      at("play").dataset.playing = String(player.playing);
      at("play").textContent = player.playing ? "Pause" : "Play";
    }
  });
  window.clapstick.player = player;

  // --- numbers -----------------------------------------------------------------------------------------------------

  const metric = () => index.metrics.find((item) => item.key === controls.metric.value) || null;
  const known = (values) => values.filter((value) => value !== null);
  const format = (value, decimals) => (value === null ? "–" : value.toFixed(decimals).replace("-", "−"));
  const mean = (values) => values.reduce((sum, value) => sum + value, 0) / values.length;

  function deviation(values) {
    if (values.length < 2) return null;
    const centre = mean(values);
    return Math.sqrt(values.reduce((sum, value) => sum + (value - centre) ** 2, 0) / (values.length - 1));
  }

  function disagreement(item, position) {
    const competing = index.systems.filter((system) => !system.control).map((system) => system.name);
    return deviation(known(competing.map((name) => (item.values[name] || [])[position] ?? null)));
  }

  // How far the mean moves when the clip is left out.
  function influence(values, position) {
    const all = known(values);
    const value = values[position];
    return value === null || all.length < 2 ? null : (mean(all) - value) / (all.length - 1);
  }

  // Share of the other clips that the same system does worse on; none where all clips are alike.
  function percentile(item, values, position) {
    const value = values[position];
    const others = known(values.filter((_, other) => other !== position));
    if (value === null || value === undefined || item.direction === "none") return null;
    if (others.every((other) => other === value)) return null;
    const below = others.filter((other) => (item.direction === "higher" ? other < value : other > value)).length;
    const equal = others.filter((other) => other === value).length;
    return (100 * (below + equal / 2)) / others.length;
  }

  // --- list --------------------------------------------------------------------------------------------------------

  function keyOf(position) {
    const item = metric();
    if (!item) return null;
    const values = item.values[controls.system.value] || [];
    switch (controls.order.value) {
      case "disagreement":
        return disagreement(item, position);
      case "influence":
        return influence(values, position);
      default:
        return values[position] ?? null;
    }
  }

  function compareKeys(a, b) {
    const order = controls.order.value;
    if (order === "id") return index.clips[a.position].id.localeCompare(index.clips[b.position].id);
    if (a.key === null || b.key === null) return (a.key === null) - (b.key === null);
    if (order === "disagreement") return b.key - a.key;
    if (order === "influence") return Math.abs(b.key) - Math.abs(a.key);
    const rising = a.key - b.key;
    return (metric().direction === "higher") === (order === "worst") ? rising : -rising;
  }

  function passes(clip) {
    const { material, action, seen, text } = controls;
    if (material.value && (clip.material || "") !== material.value.slice(1)) return false;
    if (action.value && (clip.action || "") !== action.value.slice(1)) return false;
    const isSeen = clip.seen_by.includes(controls.system.value);
    if (seen.value && (seen.value === "seen") !== isSeen) return false;
    const wanted = text.value.trim().toLocaleLowerCase();
    if (!wanted) return true;
    return [clip.id, clip.source, clip.caption, clip.prompt.text, clip.material, clip.action].some(
      (part) => part && part.toLocaleLowerCase().includes(wanted),
    );
  }

  function refresh() {
    shown = index.clips
      .map((clip, position) => ({ clip, position, key: null }))
      .filter((entry) => passes(entry.clip));
    for (const entry of shown) entry.key = keyOf(entry.position);
    shown.sort((a, b) => compareKeys(a, b) || a.position - b.position);
    at("clip-count").textContent = `${shown.length} of ${index.clips.length} clips`;
    spacer.style.height = `${shown.length * ROW_PIXELS}px`;
    drawList();
  }

  function drawList() {
    const first = Math.max(0, Math.floor(list.scrollTop / ROW_PIXELS) - SPARE_ROWS);
    const last = Math.min(shown.length, Math.ceil((list.scrollTop + list.clientHeight) / ROW_PIXELS) + SPARE_ROWS);
    const item = metric();
    const fragment = document.createDocumentFragment();
    for (let place = first; place < last; place += 1) {
      const { clip, position, key } = shown[place];
      const chosen = position === current;
      const option = make(
        "div",
        {
          class: "clip-row",
          role: "option",
          id: `clip-option-${position}`,
          "aria-selected": String(chosen),
          "aria-setsize": String(shown.length),
          "aria-posinset": String(place + 1),
        },
        make("span", { class: "clip-name" }, make("bdi", {}, clip.id)),
        make("span", { class: "clip-value num" }, item && key !== null ? format(key, item.decimals + 1) : "–"),
        make("span", { class: "clip-kind" }, [clip.material, clip.action].filter(Boolean).join(", ") || "not annotated"),
        Object.keys(clip.sound_problems).length ? make("span", { class: "clip-flag" }, "has errors") : null,
      );
      option.style.transform = `translateY(${place * ROW_PIXELS}px)`;
      option.addEventListener("click", () => choose(position));
      fragment.append(option);
    }
    spacer.replaceChildren(fragment);
    if (current !== null && at(`clip-option-${current}`)) {
      list.setAttribute("aria-activedescendant", `clip-option-${current}`);
    } else {
      list.removeAttribute("aria-activedescendant");
    }
  }

  function reveal(place) {
    const top = place * ROW_PIXELS;
    if (top < list.scrollTop) list.scrollTop = top;
    else if (top + ROW_PIXELS > list.scrollTop + list.clientHeight) {
      list.scrollTop = top + ROW_PIXELS - list.clientHeight;
    }
  }

  function move(by) {
    if (!shown.length) return;
    const place = shown.findIndex((entry) => entry.position === current);
    const next = place < 0 ? 0 : Math.min(Math.max(place + by, 0), shown.length - 1);
    reveal(next);
    choose(shown[next].position);
  }

  // --- one clip ----------------------------------------------------------------------------------------------------

  async function choose(position, wanted = {}) {
    const clip = index.clips[position];
    const before = player.selected;
    for (const name of current === null ? [] : Object.values(index.clips[current].sounds)) drop(name);
    current = position;
    drawList();
    at("clip-empty").hidden = true;
    at("player").hidden = false;
    at("clip-title").replaceChildren(make("bdi", {}, clip.id));
    at("clip-facts").replaceChildren(...factsOf(clip));
    at("video-problem").hidden = Boolean(clip.video);
    at("video-problem").textContent = clip.video_problem || "";
    at("video").hidden = !clip.video;
    const number = player.open(clip.video, clip.duration_s);
    sounds = new Map();
    const names = index.systems.map((system) => system.name);
    const usable = names.filter((name) => clip.sounds[name]);
    const first = [wanted.sound, before, usable[1], usable[0]].find((name) => usable.includes(name)) ?? null;
    player.select(first);
    drawRows();
    drawNotes(clip, position);
    remember();
    at("sound-status").textContent = usable.length ? "Loading sounds …" : "The run holds no sound for this clip.";
    const order = [...new Set([first, names[0], ...usable])].filter((name) => usable.includes(name));
    const failed = [];
    for (const name of order) {
      try {
        const sound = await load(clip.sounds[name]);
        if (current !== position) return;
        sounds.set(name, sound);
        await player.add(name, bytesOf(sound.data), number);
      } catch (error) {
        failed.push(`${titleOf(name)}: ${error.message}`);
      }
      if (current !== position) return;
      if (sounds.size < 3) drawRows();
    }
    drawRows();
    if (wanted.time) player.seek(wanted.time);
    at("sound-status").textContent = failed.length ? `Not playable: ${failed.join("; ")}` : "";
    player.ready = position;
  }

  function bytesOf(text) {
    const binary = atob(text);
    const bytes = new Uint8Array(binary.length);
    for (let place = 0; place < binary.length; place += 1) bytes[place] = binary.charCodeAt(place);
    return bytes.buffer;
  }

  const titleOf = (name) => (index.systems.find((system) => system.name === name) || { title: name }).title;

  function factsOf(clip) {
    const parts = [];
    const push = (text) => parts.push(parts.length ? " · " : "", make("bdi", {}, text));
    push([clip.material, clip.action].filter(Boolean).join(", ") || "not annotated");
    push(`${clip.duration_s.toFixed(2)} s from ${clip.start_s.toFixed(2)} s of ${clip.source}`);
    const { sound, policy, caution, text } = clip.prompt;
    if (sound) push([`${sound} prompt${policy ? ` (${policy})` : ""}`, caution].filter(Boolean).join(": "));
    if (text) push(`text prompt: “${text}”`);
    if (clip.caption) push(clip.caption);
    push(clip.seen_by.length ? `in the training list of ${clip.seen_by.map(titleOf).join(", ")}` : "in no known training list");
    return parts;
  }

  function drawRows() {
    const clip = index.clips[current];
    const item = metric();
    const top = scaleTop();
    const reference = sounds.get(index.systems[0].name) || null;
    const fragment = document.createDocumentFragment();
    index.systems.forEach((system, place) => {
      const sound = sounds.get(system.name) || null;
      const usable = Boolean(clip.sounds[system.name]);
      const radio = make("input", {
        type: "radio",
        name: "sound",
        value: system.name,
        checked: system.name === player.selected,
        disabled: !usable,
      });
      radio.addEventListener("change", () => listenTo(system.name));
      const key = place < 10 ? make("kbd", {}, String((place + 1) % 10)) : null;
      const label = make("label", { class: "row-label" }, radio, key, make("bdi", { class: "row-title" }, system.title));
      if (item && item.values[system.name]) label.append(scoreOf(item, system.name, clip));
      const chart = make("div", { class: "chart" });
      if (usable) {
        const picture = envelopes.draw({
          reference: place ? reference : null,
          sound,
          annotated: clip.onsets,
          duration: clip.duration_s,
          top,
          decibels: at("decibels").checked,
          label: chartWords(system, sound, clip),
        });
        chart.append(picture);
        chart.addEventListener("click", (event) => {
          const box = chart.getBoundingClientRect();
          listenTo(system.name);
          player.seek(((event.clientX - box.left) / box.width) * clip.duration_s);
        });
      } else {
        const problem = clip.sound_problems[system.name] || (place ? "no sound in the run" : clip.reference_missing);
        chart.append(make("p", { class: "empty" }, make("bdi", {}, problem || "no sound in the run")));
      }
      if (sound && at("spectrograms").checked) {
        chart.append(make("img", { src: sound.spectrogram, class: "spectrogram", alt: `Log-mel spectrogram of ${system.title}` }));
      }
      const row = make("div", { class: "sound-row" }, label, chart);
      row.classList.toggle("selected", system.name === player.selected);
      row.dataset.system = system.name;
      fragment.append(row);
    });
    fragment.append(make("div", { class: "axis", "aria-hidden": "true" }, ...ticks(clip.duration_s)));
    const focused = document.activeElement && document.activeElement.name === "sound" ? document.activeElement.value : null;
    rows.replaceChildren(fragment);
    if (focused) [...rows.querySelectorAll("input")].find((radio) => radio.value === focused)?.focus();
  }

  // The scale of all rows: reference and systems fill it, a louder control is cut off.
  function scaleTop() {
    const names = index.systems.filter((system, place) => !place || !system.control).map((system) => system.name);
    const loaded = names.filter((name) => sounds.has(name));
    const used = loaded.length ? loaded : [...sounds.keys()];
    return Math.max(1e-4, ...used.flatMap((name) => sounds.get(name).rms));
  }

  function chartWords(system, sound, clip) {
    if (!sound) return `${system.title}: loading`;
    const annotated = clip.annotated ? `${clip.onsets.length} annotated onsets` : "onsets not annotated";
    return `RMS of ${system.title} over ${clip.duration_s.toFixed(1)} s: ${annotated}, ${sound.onsets_s.length} detected`;
  }

  function scoreOf(item, name, clip) {
    const position = current;
    const value = item.values[name][position];
    const rank = percentile(item, item.values[name], position);
    const reason = clip.reasons[`${name}@${item.key}`];
    return make(
      "span",
      { class: "row-score", title: reason || null },
      `${item.title} ${format(value, item.decimals + 1)}`,
      rank === null ? null : make("span", { class: "muted" }, ` better than on ${rank.toFixed(0)} % of its clips`),
    );
  }

  function ticks(duration) {
    const step = [0.1, 0.2, 0.5, 1, 2, 5, 10, 30, 60, 120].find((size) => duration / size <= 10) || 300;
    const marks = [];
    for (let time = 0; time <= duration + 1e-9; time += step) {
      const mark = make("span", {}, `${Number(time.toFixed(2))}`);
      mark.style.left = `${(time / duration) * 100}%`;
      marks.push(mark);
    }
    marks[marks.length - 1].append(" s");
    return marks;
  }

  function drawNotes(clip, position) {
    const parts = [];
    if (index.metrics.length) {
      const systems = index.systems.filter((system) => index.metrics.some((item) => item.values[system.name]));
      const head = make("tr", {}, make("th", { scope: "col" }, "Metric"));
      for (const system of systems) head.append(make("th", { scope: "col", class: "num" }, make("bdi", {}, system.title)));
      const body = make("tbody");
      for (const item of index.metrics) {
        const arrow = { lower: " ↓", higher: " ↑", none: "" }[item.direction];
        const row = make("tr", {}, make("th", { scope: "row" }, make("bdi", {}, item.title), arrow));
        for (const system of systems) {
          const values = item.values[system.name] || [];
          const value = values[position] ?? null;
          const reason = clip.reasons[`${system.name}@${item.key}`];
          const rank = percentile(item, values, position);
          const cell = make("td", { class: "num", title: reason || null }, format(value, item.decimals + 1));
          if (rank !== null) cell.append(make("span", { class: "sub" }, `${rank.toFixed(0)} %`));
          row.append(cell);
        }
        body.append(row);
      }
      const caption = make("caption", {}, make("span", {}, "Scores of this clip; below each, the share of clips on which the same system does worse."));
      const table = make("table", { class: "plain" }, caption, make("thead", {}, head), body);
      parts.push(make("div", { class: "scroll", role: "region", "aria-label": "Scores of this clip", tabindex: "0" }, table));
    }
    const lines = [
      ...Object.entries(clip.reasons).map(([key, reason]) => [keyWords(key), reason]),
      ...Object.entries(clip.sound_problems).map(([name, problem]) => [titleOf(name), problem]),
      ...Object.entries(clip.handling).map(([name, text]) => [titleOf(name), text]),
      ...clip.warnings.map((warning) => ["Clip", warning]),
    ];
    if (lines.length) {
      const listed = lines.map(([name, text]) => make("li", {}, make("b", {}, make("bdi", {}, name)), ": ", make("bdi", {}, text)));
      parts.push(make("details", {}, make("summary", {}, `Notes (${lines.length})`), make("ul", { class: "reasons" }, ...listed)));
    }
    at("clip-notes").replaceChildren(...parts);
  }

  function keyWords(key) {
    const [system, ...rest] = key.split("@");
    const item = index.metrics.find((candidate) => candidate.key === rest.join("@"));
    return `${titleOf(system)}, ${item ? item.title : rest.join(" ")}`;
  }

  function listenTo(name) {
    const clip = index.clips[current];
    if (!clip.sounds[name]) return;
    player.select(name);
    for (const row of rows.querySelectorAll(".sound-row")) {
      const chosen = row.dataset.system === name;
      row.classList.toggle("selected", chosen);
      row.querySelector("input").checked = chosen;
    }
    remember();
  }

  // --- links -------------------------------------------------------------------------------------------------------

  function remember() {
    const parts = new URLSearchParams({ clip: index.clips[current].id });
    if (player.selected) parts.set("sound", player.selected);
    history.replaceState(null, "", `#${parts}`);
  }

  function linked() {
    const parts = new URLSearchParams(location.hash.slice(1));
    return parts.has("clip") ? parts : null;
  }

  async function follow() {
    const parts = linked();
    if (!parts) return;
    await open();
    const position = index.clips.findIndex((clip) => clip.id === parts.get("clip"));
    section.scrollIntoView();
    if (position < 0) {
      at("clip-empty").hidden = false;
      at("clip-empty").textContent = "The link names a clip that this run does not have.";
      return;
    }
    const place = shown.findIndex((entry) => entry.position === position);
    if (place >= 0) reveal(place);
    await choose(position, { sound: parts.get("sound"), time: Number(parts.get("t")) || 0 });
  }

  // --- start -------------------------------------------------------------------------------------------------------

  function fill(select, values, first) {
    const options = values.map(([value, text]) => make("option", { value }, text));
    select.replaceChildren(...(first ? [make("option", { value: "" }, first)] : []), ...options);
  }

  const distinct = (values) => [...new Set(values.filter(Boolean))].sort().map((value) => [`=${value}`, value]);

  let opening = null;
  function open() {
    opening = opening || start();
    return opening;
  }

  async function start() {
    index = await load(INDEX);
    fill(controls.metric, index.metrics.map((item) => [item.key, item.title]));
    const order = (system) => (system === index.systems[0] ? 2 : Number(system.control));
    const competing = [...index.systems].sort((a, b) => order(a) - order(b));
    fill(controls.system, competing.map((system) => [system.name, system.title]));
    const scored = (system) => index.metrics.length && known(index.metrics[0].values[system.name] || []).length;
    controls.system.value = (competing.find(scored) || competing[0]).name;
    fill(controls.material, distinct(index.clips.map((clip) => clip.material)), "every material");
    fill(controls.action, distinct(index.clips.map((clip) => clip.action)), "every action");
    if (!index.metrics.length) controls.order.value = "id";
    for (const control of Object.values(controls)) {
      control.addEventListener(control === controls.text ? "input" : "change", () => {
        list.scrollTop = 0;
        refresh();
        if (current !== null) drawRows();
      });
    }
    at("clip-controls").addEventListener("submit", (event) => event.preventDefault());
    list.addEventListener("scroll", () => {
      if (following) return;
      following = true;
      requestAnimationFrame(() => {
        following = false;
        drawList();
      });
    });
    at("browser").hidden = false;
    refresh();
    new ResizeObserver(drawList).observe(list);
    at("play").addEventListener("click", toggle);
    at("seek").addEventListener("input", () => player.seek((at("seek").value / 1000) * player.duration));
    at("previous").addEventListener("click", () => move(-1));
    at("next").addEventListener("click", () => move(1));
    at("loop").addEventListener("change", () => player.setLoop(at("loop").checked));
    at("decibels").addEventListener("change", drawRows);
    at("spectrograms").addEventListener("change", drawRows);
    document.addEventListener("keydown", onKey);
  }

  const toggle = () => (player.playing ? player.pause() : player.play());

  function inUse(element) {
    if (section.contains(element)) return true;
    const box = section.getBoundingClientRect();
    return element === document.body && box.top < innerHeight && box.bottom > 0;
  }

  function onKey(event) {
    const element = document.activeElement;
    if (event.ctrlKey || event.metaKey || event.altKey || !inUse(element)) return;
    if (element.matches("select, input:not([type=radio]):not([type=checkbox]):not([type=range])")) return;
    const used = keyAction(event.key, element);
    if (used) {
      event.preventDefault();
      used();
    }
  }

  function keyAction(key, element) {
    if (element === list) {
      const steps = { ArrowDown: 1, ArrowUp: -1, Home: -shown.length, End: shown.length };
      if (key in steps) return () => move(steps[key]);
      if (key === "Enter") return () => (current === null ? move(0) : at("clip-title").focus());
    }
    if (key === "PageDown") return () => move(1);
    if (key === "PageUp") return () => move(-1);
    if (current === null) return null;
    if (key === " " && !element.matches("button, summary, a, input[type=checkbox]")) return toggle;
    if (/^[0-9]$/.test(key)) {
      const system = index.systems[(Number(key) + 9) % 10];
      return system ? () => listenTo(system.name) : null;
    }
    if ((key === "ArrowLeft" || key === "ArrowRight") && !element.matches("input[type=radio], input[type=range]")) {
      return () => player.seek(player.position() + (key === "ArrowLeft" ? -STEP_S : STEP_S));
    }
    return null;
  }

  window.addEventListener("hashchange", follow);
  if (linked()) follow();
  else {
    new IntersectionObserver(
      (entries, observer) => {
        if (entries.some((entry) => entry.isIntersecting)) {
          observer.disconnect();
          open();
        }
      },
      { rootMargin: "600px" },
    ).observe(section);
  }
})();
