// Data that the page loads when it is asked for. Scripts work from file://, where fetch does not; a page in a single
// file holds the same chunks as JSON elements.
"use strict";
window.clapstick = (() => {
  const values = new Map();
  const waiting = new Map();

  function put(name, value) {
    values.set(name, value);
  }

  function load(name) {
    if (values.has(name)) return Promise.resolve(values.get(name));
    if (!waiting.has(name)) waiting.set(name, find(name).finally(() => waiting.delete(name)));
    return waiting.get(name);
  }

  function drop(name) {
    values.delete(name);
  }

  async function find(name) {
    for (const element of document.querySelectorAll('script[type="application/json"][data-chunk]')) {
      if (element.dataset.chunk === name) {
        put(name, JSON.parse(element.textContent));
        return values.get(name);
      }
    }
    await new Promise((resolve, reject) => {
      const script = document.createElement("script");
      script.src = name.split("/").map(encodeURIComponent).join("/");
      script.onload = resolve;
      script.onerror = () => reject(new Error(`${name} could not be loaded`));
      document.head.append(script);
      script.addEventListener("load", () => script.remove());
    });
    if (!values.has(name)) throw new Error(`${name} holds other data`);
    return values.get(name);
  }

  // Makes an element; strings are always text, never markup.
  function make(tag, attributes = {}, ...children) {
    const element = document.createElement(tag);
    for (const [key, value] of Object.entries(attributes)) {
      if (value === false || value === null || value === undefined) continue;
      if (key === "class") element.className = value;
      else if (key in element && typeof value !== "string") element[key] = value;
      else element.setAttribute(key, value);
    }
    element.append(...children.filter((child) => child !== null && child !== undefined));
    return element;
  }

  return { put, load, drop, make };
})();
