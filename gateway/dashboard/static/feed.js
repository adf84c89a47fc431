// One channel over WebSocket, kept up: reconnects with jitter and resumes after the last position it was given, so
// that nothing is missed and nothing comes twice.

const FIRST_DELAY = 250; // milliseconds; doubled with each failure in a row
const LONGEST_DELAY = 8000;
const PATIENCE = 10000; // milliseconds from opening a socket to its first message

export class Feed {
  #channel = null;
  #position = "0";
  #socket = null;
  #timer = null;
  #failures = 0;
  #on;

  // `on` is told of {state}, {data} and {gap}; states are connecting, live, and waiting for the next try.
  constructor(on) {
    this.#on = on;
    window.addEventListener("online", () => this.hurry());
  }

  // Follow a channel from its beginning, or from now on.
  open(channel, since = "0") {
    this.close();
    this.#channel = channel;
    this.#position = since === "now" ? null : since;
    this.#failures = 0;
    this.#connect();
  }

  close() {
    clearTimeout(this.#timer);
    const socket = this.#socket;
    this.#socket = null;
    socket?.close();
  }

  // Do not wait any longer, if waiting.
  hurry() {
    if (this.#channel !== null && this.#socket === null) {
      clearTimeout(this.#timer);
      this.#failures = 0;
      this.#connect();
    }
  }

  #connect() {
    const socket = new WebSocket(this.#address());
    this.#socket = socket;
    if (this.#failures === 0) this.#on({ state: "connecting" });
    this.#timer = setTimeout(() => this.#lost(socket), PATIENCE);
    socket.onmessage = (event) => this.#socket === socket && this.#take(JSON.parse(event.data));
    socket.onclose = () => this.#lost(socket);
  }

  #address() {
    const path = this.#channel.split("/").map(encodeURIComponent).join("/");
    const origin = window.location.origin.replace(/^http/, "ws");
    const since = this.#position === null ? "" : `?since=${encodeURIComponent(this.#position)}`;
    return `${origin}/channels/${path}${since}`;
  }

  #take(message) {
    if (this.#timer !== null) {
      clearTimeout(this.#timer);
      this.#timer = null;
      this.#failures = 0;
      this.#on({ state: "live" });
    }
    if (message.gap) {
      this.#position = message.gap.to;
      this.#on({ gap: message.gap });
      return;
    }
    this.#position = message.position;
    if ("data" in message) this.#on({ data: message.data });
  }

  #lost(socket) {
    if (this.#socket !== socket) return;
    this.close();
    const ceiling = Math.min(LONGEST_DELAY, FIRST_DELAY * 2 ** Math.min(this.#failures++, 10));
    const delay = ceiling * (0.5 + Math.random() / 2);
    this.#timer = setTimeout(() => this.#connect(), delay);
    this.#on({ state: "waiting" });
  }
}
