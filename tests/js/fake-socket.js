/** A WebSocket that a test plays the server of. */
export class FakeSocket {
  readyState = 0;
  /** The subprotocol that the server chose. */
  protocol = "rockstar.v1";
  /** @type {any[]} */
  sent = [];
  isClosed = false;
  onmessage = null;
  onclose = null;

  /** @param {string} frame */
  send(frame) {
    this.sent.push(JSON.parse(frame));
  }

  close() {
    this.isClosed = true;
    this.readyState = 3;
  }

  /** The server accepts and says welcome. */
  welcome(payload = {}) {
    this.readyState = 1;
    this.push("welcome", { heartbeat: { interval_s: 25, timeout_s: 20 }, ...payload });
  }

  /** The server sends something unasked. */
  push(type, payload) {
    this.onmessage?.({ data: JSON.stringify({ type, payload }) });
  }

  /** The server sends several messages in one frame. */
  lines(...messages) {
    this.onmessage?.({ data: messages.map((each) => JSON.stringify(each)).join("\n") });
  }

  /** The server answers the last request of a type. */
  reply(requestType, type, payload) {
    const request = this.sent.findLast((each) => each.type === requestType && each.id);
    this.onmessage?.({ data: JSON.stringify({ id: request.id, type, payload }) });
  }

  /** The connection ends. */
  end(code, reason = "") {
    this.readyState = 3;
    this.onclose?.({ code, reason });
  }

  /** The messages of one type that were sent. */
  requests(type) {
    return this.sent.filter((each) => each.type === type);
  }
}

/** Promise callbacks have run. */
export async function settled() {
  for (let turn = 0; turn < 10; turn += 1) await Promise.resolve();
}
