// One task: what is known of it from its events, and its row on the page.

const PATIENCE = 5; // seconds without a worker before the row says so
const LONGEST_OUTCOME = 4000; // characters of a result that are shown

const LINE = 72; // characters

const LOOKS = {
  SUBMITTED: ["Submitted", "idle"],
  PENDING: ["Pending", "idle"],
  RECEIVED: ["Received", "idle"],
  STARTED: ["Running", "busy"],
  PROGRESS: ["Running", "busy"],
  RETRY: ["Retrying", "warn"],
  SUCCESS: ["Done", "good"],
  FAILURE: ["Failed", "bad"],
  REVOKED: ["Revoked", "off"],
};

export class Task {
  constructor(id, name) {
    this.id = id;
    this.name = name;
    this.state = "SUBMITTED";
    this.end = false;
    this.retries = 0;
    this.progress = null;
    this.error = null;
    this.result = undefined;
    this.began = null; // seconds since 1970
    this.last = null;
    this.submitted = null; // by this page's clock
    this.#row = row();
  }

  #row;

  get element() {
    return this.#row.element;
  }

  get label() {
    return LOOKS[this.state]?.[0] ?? this.state;
  }

  get shortName() {
    return this.name.split(".").at(-1);
  }

  apply(event) {
    this.state = event.state;
    this.end = Boolean(event.end);
    this.retries = event.retries ?? this.retries;
    if (event.task) this.name = event.task;
    this.last = seconds(event.at) ?? this.last;
    this.began ??= this.last;
    const { current, total } = event.meta ?? {};
    if (Number.isFinite(current) && Number.isFinite(total) && total > 0) this.progress = { current, total };
    if (this.state === "SUCCESS" && this.progress) this.progress.current = this.progress.total;
    this.error = event.error ?? null;
    this.result = event.state === "SUCCESS" ? event.result ?? null : undefined;
  }

  render(now) {
    const { element, badge, name, retries, when, id, took, progress, bar, count, note, outcome } = this.#row;
    element.dataset.look = LOOKS[this.state]?.[1] ?? "busy";
    element.dataset.state = this.state;
    say(badge, this.label);
    say(name, this.shortName);
    name.title = this.name;
    say(retries, this.retries ? `${this.retries} ${this.retries === 1 ? "retry" : "retries"}` : "");
    say(id, this.id.slice(0, 8));
    id.title = this.id;
    const start = this.began ?? this.submitted;
    say(when, start === null ? "" : new Date(start * 1000).toLocaleTimeString());
    if (start !== null) when.dateTime = new Date(start * 1000).toISOString();
    say(took, this.#duration(now));
    progress.hidden = this.progress === null;
    if (this.progress) {
      bar.max = this.progress.total;
      bar.value = this.progress.current;
      bar.setAttribute("aria-label", `Progress of ${this.shortName}`);
      say(count, `${this.progress.current} / ${this.progress.total}`);
    }
    say(note, this.#note(now));
    const text = this.#outcome();
    say(outcome, text);
    if (text) outcome.setAttribute("aria-label", this.error ? "Error" : "Result");
  }

  #duration(now) {
    if (this.began === null) return "";
    const taken = Math.max(0, (this.end ? this.last : now) - this.began);
    return taken < 60 ? `${taken.toFixed(1)} s` : `${Math.floor(taken / 60)} min ${Math.floor(taken % 60)} s`;
  }

  #note(now) {
    const waiting = this.state === "SUBMITTED" && this.submitted !== null && now - this.submitted > PATIENCE;
    return waiting ? "No worker has taken it yet. Is one running?" : "";
  }

  #outcome() {
    if (this.error !== null) return describe(this.error);
    return this.result === undefined ? "" : cut(json(this.result));
  }
}

function row() {
  const element = document.getElementById("task-row").content.firstElementChild.cloneNode(true);
  const find = (selector) => element.querySelector(selector);
  return {
    element,
    badge: find(".badge"),
    name: find(".name"),
    retries: find(".retries"),
    when: find(".when"),
    id: find(".id"),
    took: find(".took"),
    progress: find(".progress"),
    bar: find("progress"),
    count: find(".count"),
    note: find(".note"),
    outcome: find(".outcome"),
  };
}

// Write text only where it changes, and hide what says nothing.
function say(element, text) {
  if (element.textContent !== text) element.textContent = text;
  element.hidden = text === "";
}

function describe(error) {
  if (typeof error !== "object") return cut(String(error));
  const { type, message, ...rest } = error;
  if (typeof type !== "string" && typeof message !== "string") return cut(json(error));
  const more = Object.entries(rest).filter(([, value]) => value !== null && value !== "");
  const lines = more.map(([key, value]) => `${key}: ${typeof value === "string" ? value : JSON.stringify(value)}`);
  return cut([[type, message].filter(Boolean).join(": "), ...lines].join("\n"));
}

// On one line where it fits.
function json(value) {
  const line = JSON.stringify(value);
  return line.length <= LINE ? line : JSON.stringify(value, null, 2);
}

function cut(text) {
  return text.length > LONGEST_OUTCOME ? `${text.slice(0, LONGEST_OUTCOME)}\n… ${text.length} characters` : text;
}

function seconds(at) {
  const value = typeof at === "string" ? Date.parse(at) / 1000 : at;
  return Number.isFinite(value) ? value : null;
}
