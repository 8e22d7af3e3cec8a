import { watchPage } from "./client/page-watch.js";
import { RealtimeClient } from "./client.js";
import { count, rate } from "./dashboard-format.js";
import { statusOf } from "./dashboard-status.js";
import { Api } from "./live/api.js";
import { startApp } from "./live/app.js";
import { LiveStore } from "./live/store.js";
import { _ } from "./texts.js";

const STATUS_EVERY_MS = 1000;
// A screen reader reads out the figures this often: enough to follow them, and rare enough to work
// meanwhile.
const SUMMARY_EVERY_MS = 60_000;

/** The live page: its head, with the status of the feed. The feed runs while the page is visible and not paused. */
class Dashboard {
  /** @type {string | null} */
  #statusName = null;
  #summaryMs = 0;

  /** @param {HTMLElement} root */
  constructor(root) {
    this.root = root;
    this.config = JSON.parse(this.#find("#live-config").textContent ?? "{}");
    this.client = new RealtimeClient(/** @type {string} */ (root.dataset.feed));
    this.api = new Api(this.config.api_path, this.config.csrf_token);
    const readHistory = (/** @type {Record<string, string>} */ params, /** @type {AbortSignal} */ signal) => this.api.get(this.config.samples_path, params, signal);
    const { operator_is_of_all, host_tenant } = this.config;
    this.store = new LiveStore(this.client, readHistory, () => document.hidden, operator_is_of_all ? null : host_tenant);
  }

  start() {
    this.client.on("live", (beat) => this.store.take(beat, Date.now()));
    this.client.on("state", (state) => (state.name === "online" ? this.store.follow() : this.#tell()));
    this.#find("[data-pause]").addEventListener("click", () => this.store.togglePause());
    document.addEventListener("visibilitychange", () => this.store.follow());
    this.store.listen(() => this.#tell());
    watchPage(this.client);
    setInterval(() => this.#tell(), STATUS_EVERY_MS);
    this.client.start();
    startApp(this.#find("[data-app]"), this.config, this.api, this.store);
  }

  #tell() {
    const { isPaused, lastPushMs, intervalS, beat } = this.store;
    const nowMs = Date.now();
    const status = statusOf({ connection: this.client.state, isPaused, lastPushMs, intervalS, nowMs });
    this.#find("[data-status]").dataset.status = status.name;
    setText(this.#find("[data-status-text]"), status.text);
    setText(this.#find("[data-pause]"), isPaused ? _("Resume") : _("Pause"));
    this.root.classList.toggle("is-old", status.isOld);
    const tag = this.#find("[data-scope]");
    tag.hidden = beat === null;
    if (beat !== null) setText(tag, beat.tenant ?? _("all tenants"));
    const isNews = status.name !== this.#statusName;
    this.#statusName = status.name;
    if (isNews && status.name !== "live") setText(this.#find("[data-summary]"), status.text);
    else if (beat !== null && !status.isOld && (isNews || nowMs - this.#summaryMs > SUMMARY_EVERY_MS)) {
      this.#summaryMs = nowMs;
      setText(this.#find("[data-summary]"), summaryOf(beat.totals));
    }
  }

  /** @param {string} selector of an element that the template has @returns {any} */
  #find(selector) {
    const found = this.root.querySelector(selector);
    if (found === null) throw new Error(`missing on the page: ${selector}`);
    return found;
  }
}

/** The figures as a sentence. @param {any} totals */
function summaryOf({ active_connections, in_per_s = 0, out_per_s = 0, errors_per_s = 0 }) {
  const figures = { connections: count(active_connections), received: rate(in_per_s), sent: rate(out_per_s), errors: rate(errors_per_s) };
  return _("Connections: {connections}. Messages per second: {received} in, {sent} out. Errors per second: {errors}.", figures);
}

/**
 * Write `text` if it differs. An unchanged element is neither painted nor announced again.
 * @param {Element} element
 * @param {string} text
 */
function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

const root = document.getElementById("live");
if (root) new Dashboard(root).start();
