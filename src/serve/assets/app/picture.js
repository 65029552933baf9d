// The live picture: what the camera shows, and what the door saw in it.
//
// In: pairs of an observation and a JPEG from the daemon's WebSocket. Out: a canvas with boxes and
// keypoints, and a call for each observation. Invariants: a picture is drawn with the observation
// that came with it and no other; one picture is decoded at a time, the newest wins; nothing is kept;
// the socket is closed while nobody can see it.

import { address, api } from "./api.js";
import { reaches } from "./door.js";
import { el, icon, put } from "./dom.js";

const WAIT_MS_MIN = 1_000;
const WAIT_MS_MAX = 15_000;
/** Without a picture for so long, the one that is shown is marked as old. */
const OLD_MS = 3_000;
/** Names of ids that are not known are asked for so often at most. */
const NAMES_MS = 5_000;

export class Picture {
  constructor(onObservation = () => {}) {
    this.onObservation = onObservation;
    this.canvas = el("canvas", { width: 640, height: 480, role: "img", "aria-label": "Live picture of the camera" });
    this.note = el("p", { class: "picture-note" }, icon("camera"), "Waiting for the camera …");
    this.element = el("div", { class: "picture waiting" }, this.canvas, this.note);
    this.wait_ms = WAIT_MS_MIN;
    this.names = new Map();
    this.onVisibility = () => (document.hidden ? this.stop() : this.open());
    document.addEventListener("visibilitychange", this.onVisibility);
    this.open();
  }

  close() {
    this.closed = true;
    document.removeEventListener("visibilitychange", this.onVisibility);
    this.stop();
  }

  stop() {
    clearTimeout(this.timer);
    clearTimeout(this.ageing);
    const socket = this.socket;
    this.socket = null;
    if (!socket) return;
    socket.onmessage = null;
    // One that is not open yet is closed as soon as it is: browsers warn of anything else.
    if (socket.readyState === WebSocket.CONNECTING) socket.onopen = () => socket.close();
    else socket.close();
  }

  open() {
    if (this.closed || this.socket) return;
    const url = new URL(address("live"), location.href);
    url.protocol = url.protocol === "https:" ? "wss:" : "ws:";
    const socket = new WebSocket(url);
    socket.binaryType = "blob";
    this.socket = socket;
    let observation = null;
    socket.onmessage = ({ data }) => {
      if (typeof data === "string") {
        try {
          observation = JSON.parse(data);
        } catch {
          observation = null;
        }
      } else if (observation) {
        this.wait_ms = WAIT_MS_MIN;
        this.next = { observation, blob: data };
        observation = null;
        this.draw();
      }
    };
    socket.onclose = () => {
      if (this.socket !== socket) return;
      this.socket = null;
      this.old("The live picture is interrupted.");
      this.timer = setTimeout(() => this.open(), this.wait_ms);
      this.wait_ms = Math.min(this.wait_ms * 2, WAIT_MS_MAX);
    };
  }

  /** Gives a subject that comes as an id alone its name, as soon as that is known. */
  name({ faces = [] }) {
    for (const { subject } of faces) {
      if (!subject || subject.name) continue;
      subject.name = this.names.get(subject.id);
      if (!subject.name) this.learn();
    }
  }

  async learn() {
    if (Date.now() < (this.learnAfter ?? 0)) return;
    this.learnAfter = Date.now() + NAMES_MS;
    try {
      this.names = new Map((await api.get("subjects")).map(({ id, name }) => [id, name]));
    } catch {
      // The id is shown, and the names are asked for again later.
    }
  }

  old(text) {
    if (this.closed) return;
    this.element.classList.add("waiting");
    put(this.note, icon("camera"), text);
  }

  async draw() {
    if (this.busy) return;
    this.busy = true;
    while (this.next && !this.closed) {
      const { observation, blob } = this.next;
      this.next = null;
      try {
        const bitmap = await createImageBitmap(blob);
        this.paint(bitmap, observation);
        bitmap.close();
      } catch {
        // A picture that cannot be decoded is left out; the next one comes.
      }
    }
    this.busy = false;
  }

  paint(bitmap, observation) {
    if (this.closed) return;
    clearTimeout(this.ageing);
    this.ageing = setTimeout(() => this.old("No new pictures from the camera."), OLD_MS);
    this.element.classList.remove("waiting");
    const { canvas } = this;
    if (canvas.width !== bitmap.width || canvas.height !== bitmap.height) {
      canvas.width = bitmap.width;
      canvas.height = bitmap.height;
    }
    this.name(observation);
    const context = canvas.getContext("2d");
    context.drawImage(bitmap, 0, 0);
    // Coordinates are of the picture that was judged; the one that is sent may be smaller.
    const scale = bitmap.width / (observation.width || bitmap.width);
    for (const face of observation.faces ?? []) mark(context, face, observation, scale);
    canvas.setAttribute("aria-label", describe(observation));
    this.onObservation(observation);
  }
}

/** The face that is judged, if any. */
export function principal(observation) {
  const faces = observation?.faces ?? [];
  return faces.find((face) => face.primary) ?? null;
}

function describe({ faces = [] }) {
  const names = faces.map((face) => face.subject?.name).filter(Boolean);
  const count = faces.length === 1 ? "one face" : `${faces.length || "no"} faces`;
  return `Live picture of the camera: ${count}${names.length ? `, ${names.join(", ")}` : ""}`;
}

function tone(face, observation) {
  if (face.quality || !face.primary) return "#e7ecef";
  const score = face.score ?? observation.score;
  const accepted = face.subject && reaches(score, observation.threshold);
  return accepted ? "#4fd18b" : "#f5b942";
}

function mark(context, face, observation, scale) {
  const colour = tone(face, observation);
  const [x, y, w, h] = [face.x, face.y, face.w, face.h].map((value) => value * scale);
  // One pixel of the screen in pixels of the picture, so that lines and names are as large on each.
  const unit = context.canvas.width / Math.max(200, context.canvas.clientWidth);
  const corner = Math.min(w, h) * 0.22;
  const lines = () => {
    context.beginPath();
    for (const [cx, cy, dx, dy] of [[x, y, 1, 1], [x + w, y, -1, 1], [x, y + h, 1, -1], [x + w, y + h, -1, -1]]) {
      context.moveTo(cx + dx * corner, cy);
      context.lineTo(cx, cy);
      context.lineTo(cx, cy + dy * corner);
    }
    context.stroke();
  };
  context.lineCap = "round";
  context.lineJoin = "round";
  context.strokeStyle = "rgb(0 0 0 / 55%)";
  context.lineWidth = 5 * unit;
  lines();
  context.strokeStyle = colour;
  context.lineWidth = 2.5 * unit;
  lines();
  context.fillStyle = colour;
  for (const [px, py] of face.keypoints ?? []) {
    context.beginPath();
    context.arc(px * scale, py * scale, 2.2 * unit, 0, 2 * Math.PI);
    context.fill();
  }
  const stranger = !face.subject && face.primary && !face.quality ? "Unknown" : "";
  const label = face.subject?.name ?? face.subject?.id ?? stranger;
  if (label) plate(context, label, x, y + h, w, unit, colour);
}

function plate(context, label, x, bottom, width, unit, colour) {
  const size = 14 * unit;
  context.font = `600 ${size}px system-ui, sans-serif`;
  const { canvas } = context;
  let text = label;
  while (text.length > 4 && context.measureText(text).width > canvas.width * 0.5) text = `${text.slice(0, -2)}…`;
  const wide = context.measureText(text).width + size;
  const left = Math.max(2, Math.min(x + width / 2 - wide / 2, canvas.width - wide - 2));
  const top = Math.min(bottom + 6 * unit, canvas.height - size * 1.8);
  context.fillStyle = "rgb(12 20 24 / 82%)";
  context.beginPath();
  context.roundRect(left, top, wide, size * 1.7, size * 0.4);
  context.fill();
  context.fillStyle = colour;
  context.textBaseline = "middle";
  context.fillText(text, left + size / 2, top + size * 0.87);
}
