// What changes by itself, and the slider. Without it every page still works: forms are forms, pictures are pictures.
"use strict";

// --- what happens ----------------------------------------------------------------------------------------------------

const LEAST = 300; // milliseconds between two looks, however much happens

function follow(live) {
  const only = live.dataset.job;
  const link = document.getElementById("link");
  const news = document.getElementById("news");
  let source = null, timer = 0, last = 0, seen = "";

  async function look() {
    timer = 0;
    last = Date.now();
    try {
      const address = new URL(live.dataset.live, location.href);
      address.searchParams.set("live", "1");
      const answer = await fetch(address, { credentials: "same-origin" });
      if (answer.status === 401 || answer.redirected) { location.reload(); return; }
      if (!answer.ok) return;
      const text = await answer.text();
      if (text !== seen) { seen = text; replace(live, text); }
    } catch { /* the stream's own reconnecting says what is wrong */ }
  }

  function soon() {
    if (!timer) timer = setTimeout(look, Math.max(0, last + LEAST - Date.now()));
  }

  function open() {
    if (source) return;
    source = new EventSource("/events");
    source.addEventListener("open", () => { link.hidden = true; });
    source.addEventListener("error", () => { link.hidden = false; });
    source.addEventListener("look", soon);
    source.addEventListener("job", (event) => {
      const job = JSON.parse(event.data);
      if (only && job.id !== only) return;
      soon();
      if (["done", "failed", "held"].includes(job.standing)) news.textContent = `${job.source}: ${job.standing}`;
    });
  }

  function close() {
    if (source) source.close();
    source = null;
  }

  document.addEventListener("visibilitychange", () => (document.hidden ? close() : open()));
  addEventListener("pagehide", close);
  addEventListener("pageshow", open);
  if (!document.hidden) open();
}

// Bring the page to what the server says it is now, and change nothing else: what somebody is about to press, has chosen
// or looks at stays the same element. Elements with an id are known again by it wherever they come to stand.
function replace(live, text) {
  const fresh = document.createElement("template");
  fresh.innerHTML = text;
  inside(live, fresh.content);
  tick();
  live.querySelectorAll("[data-viewer]").forEach(view);
}

function inside(old, fresh) {
  const known = new Map([...old.children].filter((child) => child.id).map((child) => [child.id, child]));
  let at = old.firstChild;
  for (const node of [...fresh.childNodes]) {
    const mate = node.id ? known.get(node.id) : at && !at.id ? at : null;
    if (!mate) { old.insertBefore(node, at); continue; }
    if (mate === at) at = at.nextSibling;
    else old.insertBefore(mate, at);
    become(mate, node);
  }
  while (at) {
    const following = at.nextSibling;
    at.remove();
    at = following;
  }
}

function become(old, fresh) {
  if (old.nodeName !== fresh.nodeName || old.dataset?.viewer !== fresh.dataset?.viewer) {
    old.replaceWith(fresh);
    return;
  }
  if (old.nodeType !== Node.ELEMENT_NODE) {
    if (old.data !== fresh.data) old.data = fresh.data;
    return;
  }
  if (old.dataset.viewer || old.gone) return;
  for (const { name } of [...old.attributes]) if (!fresh.hasAttribute(name)) old.removeAttribute(name);
  for (const { name, value } of fresh.attributes) if (old.getAttribute(name) !== value) old.setAttribute(name, value);
  if (!old.matches("time[data-since]")) inside(old, fresh);
}

function tick() {
  for (const time of document.querySelectorAll("time[data-since]")) {
    const seconds = Math.max(0, Math.round(Date.now() / 1000 - Number(time.dataset.since)));
    const minutes = Math.floor(seconds / 60);
    const text = seconds < 60 ? `${seconds} s` : minutes < 60 ? `${minutes} min ${seconds % 60} s` : `${Math.floor(minutes / 60)} h`;
    time.textContent = text + (time.dataset.word || "");
  }
}

// A picture that cannot be shown leaves its place empty.
function forgive(image) {
  if (!image.matches("img.thumb, img.large") || image.gone) return;
  image.gone = true;
  image.src = "/static/none.png";
}

// --- before and after ------------------------------------------------------------------------------------------------

const LARGEST = 8; // times one to one

function view(viewer) {
  if (viewer.dataset.ready) return;
  viewer.dataset.ready = "1";
  const frame = viewer.querySelector(".window");
  const stage = viewer.querySelector(".stage");
  const before = viewer.querySelector(".before");
  const divider = viewer.querySelector(".divider");
  const split = viewer.querySelector(".split");
  const scaleText = viewer.querySelector(".scale");
  const width = Number(viewer.dataset.width), height = Number(viewer.dataset.height);
  const pixel = () => 1 / devicePixelRatio; // one picture pixel on one screen pixel
  const fitting = () => Math.min(frame.clientWidth / width, frame.clientHeight / height);
  let scale = null, x = 0, y = 0; // scale null: fit; x and y: where the picture's corner is, in CSS pixels

  function draw() {
    const now = scale ?? fitting();
    const across = width * now, down = height * now;
    x = across <= frame.clientWidth ? (frame.clientWidth - across) / 2 : Math.min(0, Math.max(frame.clientWidth - across, x));
    y = down <= frame.clientHeight ? (frame.clientHeight - down) / 2 : Math.min(0, Math.max(frame.clientHeight - down, y));
    stage.style.width = `${across}px`;
    stage.style.height = `${down}px`;
    stage.style.transform = `translate(${x}px, ${y}px)`;
    // The divider stands in the picture while all of it is seen, and in the window while only a part of it is.
    const left = Math.max(0, x), right = Math.min(frame.clientWidth, x + across);
    const at = left + ((right - left) * split.value) / 100;
    divider.style.transform = `translateX(${at}px)`;
    before.style.clipPath = `inset(0 ${Math.max(0, across - (at - x))}px 0 0)`;
    const times = now / pixel();
    scaleText.textContent = `${Math.round(times * 100)} %`;
    viewer.classList.toggle("zoomed", scale !== null);
    viewer.querySelector('[data-zoom="fit"]').setAttribute("aria-pressed", String(scale === null));
    viewer.querySelector('[data-zoom="one"]').setAttribute("aria-pressed", String(scale !== null && Math.abs(times - 1) < 0.01));
  }

  function sharpen() {
    for (const image of stage.querySelectorAll("img[data-full]")) {
      if (image.getAttribute("src") !== image.dataset.full) image.src = image.dataset.full;
    }
  }

  function zoom(to, atX = frame.clientWidth / 2, atY = frame.clientHeight / 2) {
    const old = scale ?? fitting();
    if (to === null || to <= fitting()) scale = null;
    else {
      scale = Math.min(LARGEST * pixel(), to);
      x = atX - ((atX - x) * scale) / old;
      y = atY - ((atY - y) * scale) / old;
      sharpen();
    }
    draw();
  }

  const zooms = {
    fit: () => zoom(null),
    one: () => zoom(pixel()),
    in: () => zoom((scale ?? fitting()) * 1.5),
    out: () => zoom((scale ?? fitting()) / 1.5),
  };
  for (const button of viewer.querySelectorAll("[data-zoom]")) {
    button.addEventListener("click", zooms[button.dataset.zoom]);
  }
  split.addEventListener("input", draw);

  function place(event) {
    const box = frame.getBoundingClientRect();
    const now = scale ?? fitting();
    const left = Math.max(0, x), right = Math.min(frame.clientWidth, x + width * now);
    split.value = (100 * (event.clientX - box.left - left)) / Math.max(1, right - left);
    draw();
  }

  let drag = null;
  frame.addEventListener("pointerdown", (event) => {
    if (event.button !== 0) return;
    const dividing = scale === null || event.target.closest(".divider");
    drag = { dividing, x: event.clientX - x, y: event.clientY - y };
    frame.setPointerCapture(event.pointerId);
    if (dividing) place(event);
  });
  frame.addEventListener("pointermove", (event) => {
    if (!drag) return;
    if (drag.dividing) { place(event); return; }
    x = event.clientX - drag.x;
    y = event.clientY - drag.y;
    draw();
  });
  for (const end of ["pointerup", "pointercancel"]) frame.addEventListener(end, () => { drag = null; });
  frame.addEventListener("dblclick", (event) => {
    const box = frame.getBoundingClientRect();
    zoom(scale === null ? pixel() : null, event.clientX - box.left, event.clientY - box.top);
  });
  frame.addEventListener("wheel", (event) => {
    if (scale === null && !event.ctrlKey) return; // the page scrolls until somebody has zoomed in
    event.preventDefault();
    const box = frame.getBoundingClientRect();
    zoom((scale ?? fitting()) * Math.exp(-event.deltaY / 400), event.clientX - box.left, event.clientY - box.top);
  }, { passive: false });

  const STEP = 60;
  const keys = {
    "+": zooms.in, "=": zooms.in, "-": zooms.out, 0: zooms.fit, 1: zooms.one,
    ArrowLeft: () => (scale === null ? divide(-2) : move(STEP, 0)),
    ArrowRight: () => (scale === null ? divide(2) : move(-STEP, 0)),
    ArrowUp: () => move(0, STEP),
    ArrowDown: () => move(0, -STEP),
    "[": () => divide(-2), "]": () => divide(2),
  };
  function divide(by) { split.value = Number(split.value) + by; draw(); }
  function move(dx, dy) { x += dx; y += dy; draw(); }
  frame.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || !(event.key in keys)) return;
    if (scale === null && event.key.startsWith("Arrow") && !/Left|Right/.test(event.key)) return;
    event.preventDefault();
    keys[event.key]();
  });
  new ResizeObserver(draw).observe(frame);
  viewer.classList.add("works");
  frame.style.aspectRatio = `${width} / ${height}`;
  draw();
}

addEventListener("error", (event) => event.target instanceof HTMLImageElement && forgive(event.target), true);
for (const image of document.images) if (image.complete && !image.naturalWidth && image.loading !== "lazy") forgive(image);

const live = document.getElementById("live");
if (live) follow(live);
document.querySelectorAll("[data-viewer]").forEach(view);
if (live) { tick(); setInterval(() => { if (!document.hidden) tick(); }, 1000); }
