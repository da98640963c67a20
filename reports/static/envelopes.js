// Draws RMS envelopes of reference and system over one time axis, with onsets.
"use strict";
window.clapstick.envelopes = (() => {
  const SVG = "http://www.w3.org/2000/svg";
  const WIDTH = 1000;
  const HEIGHT = 100;
  const MARGIN = 4;
  const FLOOR_DB = -60;

  function svg(tag, attributes) {
    const element = document.createElementNS(SVG, tag);
    for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
    return element;
  }

  function scaleFor(top, decibels) {
    if (!decibels) return (rms) => HEIGHT - (Math.min(rms, top) / top) * (HEIGHT - MARGIN);
    const topDb = 20 * Math.log10(top);
    return (rms) => {
      const level = rms > 0 ? 20 * Math.log10(rms) : FLOOR_DB;
      const share = Math.min(Math.max(level - FLOOR_DB, 0) / Math.max(topDb - FLOOR_DB, 1), 1);
      return HEIGHT - share * (HEIGHT - MARGIN);
    };
  }

  function points(sound, duration, scale) {
    const step = (sound.hop_s / duration) * WIDTH;
    return sound.rms.map((rms, index) => `${(index * step).toFixed(2)},${scale(rms).toFixed(2)}`);
  }

  // options: {reference, sound, annotated, duration, top, decibels, label}
  function draw(options) {
    const { reference, sound, annotated, duration, top, decibels, label } = options;
    const scale = scaleFor(top, decibels);
    const picture = svg("svg", {
      viewBox: `0 0 ${WIDTH} ${HEIGHT}`,
      preserveAspectRatio: "none",
      role: "img",
      "aria-label": label,
      class: "envelope",
    });
    if (reference) {
      const outline = points(reference, duration, scale);
      const end = Math.min(WIDTH, (((reference.rms.length - 1) * reference.hop_s) / duration) * WIDTH);
      picture.append(svg("path", { class: "area", d: `M0,${HEIGHT}L${outline.join("L")}L${end.toFixed(2)},${HEIGHT}Z` }));
    }
    for (const onset of annotated) {
      const x = ((onset.time_s / duration) * WIDTH).toFixed(2);
      picture.append(svg("line", { class: "annotated", x1: x, x2: x, y1: 0, y2: HEIGHT }));
    }
    if (sound) {
      picture.append(svg("path", { class: "line", d: `M${points(sound, duration, scale).join("L")}` }));
      for (const time of sound.onsets_s) {
        const x = ((time / duration) * WIDTH).toFixed(2);
        picture.append(svg("line", { class: "detected", x1: x, x2: x, y1: HEIGHT * 0.82, y2: HEIGHT }));
      }
    }
    return picture;
  }

  return { draw };
})();
