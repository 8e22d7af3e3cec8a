import { RealtimeClient } from "./client.js";
import { Series } from "./dashboard-series.js";
import { statusOf } from "./dashboard-status.js";
import { setText } from "./dashboard-table.js";
import { DashboardView } from "./dashboard-view.js";
import { startOperations } from "./live/app.js";
import { valuesOf } from "./live/chart-data.js";
import { startCharts } from "./live/charts.js";
import { watchPage } from "./client/page-watch.js";

const INTERVAL_DEFAULT_S = 2;
// A day with a push every 2 s: the longest range of the charts.
const SAMPLES = 43_200;
const STATUS_EVERY_MS = 1000;
// A screen reader reads out the metrics this often: enough to follow them, and rare enough to work
// meanwhile.
const SUMMARY_EVERY_MS = 60_000;

/** The live page. Its feed runs while the page is visible, and the page shows how old the metrics are. */
class Dashboard {
  #series = new Series(SAMPLES);
  #isPaused = false;
  #intervalS = INTERVAL_DEFAULT_S;
  /** @type {number | null} */
  #lastPushMs = null;
  /** @type {string | null} */
  #statusName = null;
  #summaryMs = 0;

  /** @param {HTMLElement} root */
  constructor(root) {
    this.root = root;
    this.view = new DashboardView(root, this.#series);
    this.pauseButton = /** @type {HTMLButtonElement} */ (root.querySelector("[data-pause]"));
    this.client = new RealtimeClient(/** @type {string} */ (root.dataset.feed));
  }

  start() {
    this.client.on("live", (beat) => this.#show(beat));
    this.client.on("state", (state) => {
      if (state.name === "online") this.#follow();
      this.#tell();
    });
    this.pauseButton.addEventListener("click", () => this.#togglePause());
    document.addEventListener("visibilitychange", () => this.#follow());
    watchPage(this.client);
    setInterval(() => this.#tell(), STATUS_EVERY_MS);
    this.client.start();
    startCharts(this.root, this.#series);
    startOperations(this.root, () => this.#isPaused);
  }

  /** Run the feed only while the page is visible and not paused. */
  async #follow() {
    const isWanted = !this.#isPaused && !document.hidden;
    try {
      await this.client.request(isWanted ? "live.start" : "live.stop");
    } catch (error) {
      // Without a connection there is nothing to switch. This is called again after the next `welcome`.
      if (this.client.state.name === "online") reportError(error);
    }
  }

  #togglePause() {
    this.#isPaused = !this.#isPaused;
    setText(this.pauseButton, this.#isPaused ? "Resume" : "Pause");
    this.#follow();
    this.#tell();
  }

  /** @param {import("./dashboard-view.js").Beat} beat */
  #show(beat) {
    if (this.#isPaused) return;
    const nowMs = Date.now();
    this.#lastPushMs = nowMs;
    this.#intervalS = beat.interval_s;
    const { active_connections, in_per_s, out_per_s, errors_per_s } = beat.totals;
    const figures = { connections: active_connections, in: in_per_s, out: out_per_s, errors: errors_per_s };
    const values = { ...figures, ...valuesOf(beat) };
    this.#series.push(nowMs, values, 3 * beat.interval_s * 1000);
    this.view.show(beat);
    this.root.dispatchEvent(new Event("live-beat"));
    this.#tell();
    if (nowMs - this.#summaryMs > SUMMARY_EVERY_MS) this.#summarise(nowMs);
  }

  #tell() {
    const status = statusOf({
      connection: this.client.state,
      isPaused: this.#isPaused,
      lastPushMs: this.#lastPushMs,
      intervalS: this.#intervalS,
      nowMs: Date.now(),
    });
    this.view.showStatus(status);
    const isNews = status.name !== this.#statusName;
    this.#statusName = status.name;
    if (isNews && status.name !== "live") this.view.announce(status.text);
    else if (isNews) this.#summarise(Date.now());
  }

  /** @param {number} nowMs */
  #summarise(nowMs) {
    this.#summaryMs = nowMs;
    this.view.announce(this.view.summary());
  }
}

const root = document.getElementById("live");
if (root) new Dashboard(root).start();
