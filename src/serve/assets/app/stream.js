// The daemon's events, read from one answer that does not end.
//
// In: the path of a stream of server-sent events. Out: a call for each event, and for each change of
// whether the stream is there. Invariants: a stream that says nothing for longer than three of the
// daemon's comments is given up and opened again; between tries the wait doubles up to a bound; a
// last id is sent along, so that nothing is told twice.
// Not EventSource: it hides comments, by which a dead connection is told from a quiet door, and the
// status of a refusal.
// Source: WHATWG HTML, section 9.2, server-sent events.

const SILENCE_MS = 45_000;
const WAIT_MS_MIN = 1_000;
const WAIT_MS_MAX = 15_000;
const LINE_MAX = 1 << 20;

/** Opens the stream and keeps it open until `close()` is called. */
export class Stream {
  constructor(path, { onEvent, onState }) {
    this.path = path;
    this.onEvent = onEvent;
    this.onState = onState;
    this.wait_ms = WAIT_MS_MIN;
    this.lastId = null;
    this.closed = false;
    this.run();
  }

  close() {
    this.closed = true;
    clearTimeout(this.timer);
    this.abort?.abort();
  }

  /** Tries at once instead of at the end of the wait. */
  hurry() {
    if (this.closed || !this.timer) return;
    clearTimeout(this.timer);
    this.timer = null;
    this.run();
  }

  again() {
    if (this.closed) return;
    const wait_ms = this.wait_ms * (0.8 + 0.4 * Math.random());
    this.wait_ms = Math.min(this.wait_ms * 2, WAIT_MS_MAX);
    this.timer = setTimeout(() => {
      this.timer = null;
      this.run();
    }, wait_ms);
  }

  async run() {
    this.abort = new AbortController();
    let status = 0;
    try {
      const headers = { Accept: "text/event-stream" };
      if (this.lastId !== null) headers["Last-Event-ID"] = this.lastId;
      this.watch();
      const response = await fetch(this.path, {
        headers,
        credentials: "same-origin",
        cache: "no-store",
        signal: this.abort.signal,
      });
      status = response.status;
      if (response.ok) {
        this.wait_ms = WAIT_MS_MIN;
        this.tell({ open: true, status });
        await this.read(response.body.getReader());
      }
    } catch {
      // A stream that broke and one that could not be opened are the same: it is tried again.
    }
    clearTimeout(this.silence);
    this.tell({ open: false, status: status >= 400 ? status : 0 });
    this.again();
  }

  tell(state) {
    if (!this.closed) this.onState(state);
  }

  watch() {
    clearTimeout(this.silence);
    this.silence = setTimeout(() => this.abort.abort(), SILENCE_MS);
  }

  async read(reader) {
    const decoder = new TextDecoder();
    let rest = "";
    let event = { name: "message", data: [] };
    for (;;) {
      const { value, done } = await reader.read();
      if (done || this.closed) return;
      this.watch();
      rest += decoder.decode(value, { stream: true });
      if (rest.length > LINE_MAX) throw new Error("a line without an end");
      const lines = rest.split(/\r\n|\n|\r(?!$)/);
      rest = lines.pop();
      for (const line of lines) event = this.line(line, event);
    }
  }

  line(line, event) {
    if (line === "") {
      if (event.data.length) this.deliver(event);
      return { name: "message", data: [] };
    }
    const colon = line.indexOf(":");
    const key = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? "" : line.slice(colon + 1).replace(/^ /, "");
    if (key === "event") event.name = value;
    else if (key === "data") event.data.push(value);
    else if (key === "id" && !value.includes("\0")) this.lastId = value;
    return event;
  }

  deliver(event) {
    let data;
    try {
      data = JSON.parse(event.data.join("\n"));
    } catch {
      return;
    }
    if (!this.closed) this.onEvent(event.name, data);
  }
}
