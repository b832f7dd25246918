// Drawings on a field of 24 by 24, in lines of the colour of the text beside them.

const paths = {
  things: "M4 5h7v6H4zM13 5h7v6h-7zM4 13h7v6H4zM13 13h7v6h-7z",
  chat: "M4 5h16v11H10l-4.5 4v-4H4z",
  delivery: "M3 17l5-6 4 3 6-8M14 6h4v4M3 21h18",
  tour: "M6 21V4M6 5h12l-3 4 3 4H6",
  lock: "M6 11h12v9H6zM9 11V8a3 3 0 0 1 6 0v3",
  open: "M6 11h12v9H6zM9 11V8a3 3 0 0 1 5.6-1.5",
  queue: "M4 7h16M4 12h16M4 17h10",
  sun: "M12 8a4 4 0 1 0 0 8 4 4 0 0 0 0-8zM12 2v3M12 19v3M2 12h3M19 12h3M5 5l2 2M17 17l2 2M5 19l2-2M17 7l2-2",
  moon: "M19 14.5A7.5 7.5 0 0 1 9.5 5a7.5 7.5 0 1 0 9.5 9.5z",
  help: "M9.2 9a2.9 2.9 0 1 1 4 2.7c-.8.4-1.2 1-1.2 2.1M12 17.2v.3",
  back: "M15 5l-7 7 7 7",
  close: "M6 6l12 12M18 6L6 18",
  down: "M6 9l6 6 6-6",
  up: "M12 20V5M6 11l6-6 6 6",
  plus: "M12 5v14M5 12h14",
  search: "M10.5 4a6.5 6.5 0 1 0 0 13 6.5 6.5 0 0 0 0-13zM15.5 15.5L20 20",
  people: "M9 5a3.2 3.2 0 1 0 0 6.4A3.2 3.2 0 0 0 9 5zM3 20c0-3.5 2.5-6 6-6s6 2.5 6 6M16 5.5a3 3 0 0 1 0 5.5M17.5 14.4c2.2.8 3.5 2.9 3.5 5.6",
  send: "M4 12l16-7-6 16-3-7z",
  clock: "M12 4a8 8 0 1 0 0 16 8 8 0 0 0 0-16zM12 8v4l3 2",
  server: "M5 5h14v6H5zM5 13h14v6H5zM8 8h.1M8 16h.1",
  check: "M5 13l4 4L19 7",
  checks: "M2.5 13l4 4L15 7M11 15.5l1.5 1.5L21.5 7",
  eye: "M2.5 12S6 6 12 6s9.5 6 9.5 6-3.5 6-9.5 6-9.5-6-9.5-6zM12 9.5a2.5 2.5 0 1 0 0 5 2.5 2.5 0 0 0 0-5z",
  doubt: "M12 4a8 8 0 1 0 0 16 8 8 0 0 0 0-16zM10 9.7a2.1 2.1 0 1 1 2.8 2c-.5.2-.8.7-.8 1.5M12 16v.2",
  failed: "M12 4a8 8 0 1 0 0 16 8 8 0 0 0 0-16zM9.5 9.5l5 5M14.5 9.5l-5 5",
  warn: "M12 4l9 16H3zM12 10v4M12 17v.2",
  info: "M12 4a8 8 0 1 0 0 16 8 8 0 0 0 0-16zM12 11v5M12 8v.2",
  pencil: "M4 20l1-4L16 5l3 3L8 19z",
  device: "M8 3h8v18H8zM11 18h2",
  door: "M6 21V3h11v18M4 21h16M14 12v.2",
  swap: "M4 8h15l-4-4M20 16H5l4 4",
  reset: "M5 12a7 7 0 1 0 2.2-5.1L4.5 9.4M4.5 4.5v5h5",
};

export function icon(name, label) {
  const space = "http://www.w3.org/2000/svg";
  const svg = document.createElementNS(space, "svg");
  svg.setAttribute("viewBox", "0 0 24 24");
  svg.setAttribute("class", "icon");
  if (label) {
    svg.setAttribute("role", "img");
    svg.setAttribute("aria-label", label);
  } else svg.setAttribute("aria-hidden", "true");
  const path = document.createElementNS(space, "path");
  path.setAttribute("d", paths[name] || paths.info);
  svg.append(path);
  svg.named = name;
  return svg;
}

/** Another drawing in the place of `old`, if it is another one. */
export function redraw(old, name) {
  if (old.named === name) return;
  old.named = name;
  old.firstChild.setAttribute("d", paths[name] || paths.info);
}
