// Reads the numbers of the job every second and draws them.

import { NODE, layout, loopOf } from "./layout.js";

const EVERY_MS = 1000;
const SVG = "http://www.w3.org/2000/svg";
const $ = (id) => document.getElementById(id);

let before = null;
let drawn = null;
let chosen = null;

/** A number for people: 1.2 k, 3.4 M. */
function short(n) {
  for (const [size, unit] of [[1e9, " G"], [1e6, " M"], [1e3, " k"]]) {
    if (n >= size) return (n / size).toFixed(n >= 10 * size ? 0 : 1) + unit;
  }
  return n >= 10 || n === Math.round(n) ? String(Math.round(n)) : n.toFixed(1);
}

function seconds(s) {
  if (s === null || s === undefined) return "";
  if (s < 1e-3) return `${(s * 1e6).toFixed(0)} µs`;
  if (s < 1) return `${(s * 1e3).toFixed(1)} ms`;
  return s < 120 ? `${s.toFixed(1)} s` : `${(s / 60).toFixed(0)} min`;
}

const percent = (share) => `${Math.round(100 * share)} %`;

/** What an operator has done since the numbers before, a second: records in and out of all workers, and the time that the
 * busiest worker gave it. */
function rates(now, old) {
  const elapsed = old ? now.time - old.time : 0;
  const earlier = new Map((old?.operators ?? []).map((operator) => [operator.id, operator]));
  return new Map(now.operators.map((operator) => {
    const workers = operator.workers.map((worker) => {
      const past = earlier.get(operator.id)?.workers.find((other) => other.worker === worker.worker);
      const since = (name) => (past && elapsed > 0 ? Math.max(0, worker[name] - past[name]) / elapsed : 0);
      return {
        worker, in: since("records_in"), out: since("records_out"),
        busy: Math.min(1, since("busy")), held: Math.min(1, since("held")),
      };
    });
    const sum = (name) => workers.reduce((total, one) => total + one[name], 0);
    const most = (name) => workers.reduce((top, one) => Math.max(top, one[name]), 0);
    return [operator.id, { in: sum("in"), out: sum("out"), busy: most("busy"), held: most("held"), workers }];
  }));
}

function make(tag, attributes, parent) {
  const element = document.createElementNS(SVG, tag);
  Object.entries(attributes).forEach(([name, value]) => element.setAttribute(name, value));
  parent?.append(element);
  return element;
}

const lastPart = (name) => name.slice(name.lastIndexOf("/") + 1);
const cut = (text, length) => (text.length > length ? `${text.slice(0, length - 1)}…` : text);

/** Draws the graph anew; numbers are put in by `fill`. */
function draw(graph) {
  const plan = layout(graph);
  const svg = make("svg", { width: plan.width, height: plan.height, role: "group", "aria-label": "operators" });
  const defs = make("defs", {}, svg);
  const arrow = make("marker", { id: "arrow", viewBox: "0 0 8 8", refX: 7, refY: 4, markerWidth: 7, markerHeight: 7,
    orient: "auto-start-reverse", markerUnits: "userSpaceOnUse" }, defs);
  make("path", { d: "M0,0 L8,4 L0,8 z" }, arrow);
  plan.boxes.forEach((box) => drawLoop(box, svg));
  const places = new Map(plan.nodes.map((node) => [node.id, node]));
  const lines = plan.lines.map((line) => ({ line, path: drawLine(line, places, svg) }));
  // Above the lines that cross them.
  const loops = new Map(plan.boxes.map((box) => [box.name, titleLoop(box, svg)]));
  const nodes = new Map(plan.nodes.map((node) => [node.id, drawNode(node, svg)]));
  $("graph").replaceChildren(svg);
  return { key: keyOf(graph), loops, lines, nodes };
}

function drawLoop(box, svg) {
  const group = make("g", { class: "loop" }, svg);
  make("rect", { x: box.x, y: box.y, width: box.width, height: box.height, rx: 12 }, group);
}

const titleLoop = (box, svg) => make("text", { class: "loop-title", x: box.x + 12, y: box.y + 16 }, svg);

function drawLine({ from, to, kind }, places, svg) {
  const [a, b] = [places.get(from), places.get(to)];
  const [x1, y1, x2, y2] = [a.x + NODE.width, a.y + NODE.height / 2, b.x, b.y + NODE.height / 2];
  const bend = Math.max(24, Math.abs(x2 - x1) / 2);
  let d = `M${x1},${y1} C${x1 + bend},${y1} ${x2 - bend},${y2} ${x2 - 2},${y2}`;
  if (kind === "feedback") {
    const low = Math.max(a.y, b.y) + NODE.height + 16;
    const [from_x, to_x] = [a.x + NODE.width * 0.6, b.x + NODE.width * 0.4];
    d = `M${from_x},${a.y + NODE.height} C${from_x},${low + 14} ${to_x},${low + 14} ${to_x},${b.y + NODE.height + 2}`;
  }
  return make("path", { class: `edge ${kind}`, d, "marker-end": "url(#arrow)" }, svg);
}

function drawNode(node, svg) {
  const { operator, id, x, y } = node;
  const group = make("g", { class: "node", tabindex: 0, role: "button", transform: `translate(${x},${y})` }, svg);
  make("title", {}, group).textContent = `${operator.name}\n${operator.location}`;
  make("rect", { class: "box", width: NODE.width, height: NODE.height, rx: 8 }, group);
  make("text", { x: 10, y: 21 }, group).textContent = cut(lastPart(operator.name), 24);
  const text = make("text", { class: "soft", x: 10, y: 38 }, group);
  make("rect", { class: "track", x: 10, y: 46, width: NODE.width - 20, height: 5, rx: 2 }, group);
  const busy = make("rect", { class: "busy", x: 10, y: 46, width: 0, height: 5, rx: 2 }, group);
  const choose = () => { chosen = chosen === id ? null : id; show(); };
  group.addEventListener("click", choose);
  group.addEventListener("keydown", (event) => {
    if (event.key === "Enter" || event.key === " ") { event.preventDefault(); choose(); }
  });
  return { group, text, busy, operator };
}

const keyOf = (graph) => JSON.stringify([graph.operators.map((operator) => [operator.id, operator.name]), graph.connections]);

/** Fills in the numbers. */
function fill(graph, now, slowest) {
  for (const [id, { group, text, busy, operator }] of drawn.nodes) {
    const rate = now.get(id);
    const held = rate.held > 0.005 ? `, held ${percent(rate.held)}` : "";
    text.textContent = `${short(rate.in)}/s in, ${short(rate.out)}/s out${held}`;
    busy.setAttribute("width", (NODE.width - 20) * rate.busy);
    group.classList.toggle("slowest", id === slowest);
    group.classList.toggle("chosen", id === chosen);
    group.setAttribute("aria-label",
      `${operator.name}: ${short(rate.in)} records a second in, ${short(rate.out)} out, busy ${percent(rate.busy)}`);
    group.setAttribute("aria-pressed", String(id === chosen));
  }
  drawn.lines.forEach(({ line, path }) => path.classList.toggle("still", now.get(line.from).out === 0));
  for (const [name, text] of drawn.loops) {
    const found = graph.loops.find((loop) => loop.name === name);
    text.textContent = found ? `${lastPart(name)}: round ${found.round}` : lastPart(name);
  }
}

/** Fills a table: heads, and rows of texts; a cell that begins with "!" is a warning. */
function table(id, heads, rows) {
  const section = $(`${id}-section`);
  if (section) section.hidden = rows.length === 0;
  const cell = (tag, text) => {
    const element = document.createElement(tag);
    const warns = String(text).startsWith("!");
    if (warns) element.className = "warn";
    if (tag === "th") element.scope = "col";
    element.textContent = warns ? text.slice(1) : text;
    return element;
  };
  const row = (tag, texts) => {
    const element = document.createElement("tr");
    element.append(...texts.map((text) => cell(tag, text)));
    return element;
  };
  $(id).replaceChildren(row("th", heads), ...rows.map((texts) => row("td", texts)));
}

function tables(graph, now) {
  table("operators", ["operator", "in/s", "out/s", "read", "sent", "busy", "held", "watermark behind", "keys",
    "MB of state"],
    graph.operators.map((operator) => {
      const rate = now.get(operator.id);
      const sum = (name) => operator.workers.reduce((total, worker) => total + (worker[name] ?? 0), 0);
      const watermarks = operator.workers.map((worker) => worker.watermark).filter((at) => at !== null);
      const lag = watermarks.length > 0 ? seconds(graph.time - Math.min(...watermarks)) : "";
      const keyed = operator.workers.some((worker) => worker.keys !== null);
      return [operator.name, short(rate.in), short(rate.out), short(sum("records_in")), short(sum("records_out")),
        percent(rate.busy), rate.held > 0.005 ? `!${percent(rate.held)}` : "", lag,
        keyed ? short(sum("keys")) : "", keyed ? (sum("state_bytes") / 1e6).toFixed(1) : ""];
    }));
  table("loops", ["loop", "round", "last round took", "records in it"],
    graph.loops.map((loop) => [loop.name, loop.round, seconds(loop.round_seconds),
      loop.round_records === null ? "" : short(loop.round_records)]));
  table("exchanges", ["read by", "in flight", "peak", "limit", "holds sources", "held"],
    graph.exchanges.map((one) => [one.operator, short(one.in_flight), short(one.peak), short(one.limit),
      one.holds ? "!yes" : "no", seconds(one.held)]));
  table("peers", ["process", "MB sent", "MB received"],
    graph.peers.map((one) => [one.process, (one.bytes_sent / 1e6).toFixed(1), (one.bytes_received / 1e6).toFixed(1)]));
  table("servers", ["parameter server", "server", "rows", "MB", "evicted", "pulls", "pushes", "staleness", "hot keys"],
    graph.parameter_servers.map((one) => [one.name, one.server, short(one.rows), (one.bytes / 1e6).toFixed(1),
      short(one.evicted), short(one.pulls), short(one.pushes), one.max_staleness,
      one.hot_keys.slice(0, 3).map(([key, n]) => `${key} (${percent(n / 1024)})`).join(", ")]));
  table("ps-workers", ["parameter server", "worker", "pulls beside", "sent", "ahead", "kept", "joined", "pushes",
    "under way"], graph.ps_workers.map((one) => [one.name, one.worker, ...one.pulls.map(([, n]) => short(n)),
      short(one.pushes), short(one.credit_used)]));
  table("checkpoints", ["checkpoint epoch", "age", "took", "longest pause", "bytes", "made", "failed"],
    graph.checkpoints.map((one) => [one.epoch ?? "none yet", one.time === null ? "" : seconds(graph.time - one.time),
      seconds(one.seconds), seconds(one.longest_pause), short(one.bytes), one.completed,
      one.failed > 0 ? `!${one.failed}: ${one.last_failure}` : "0"]));
}

function detail(graph, now) {
  const operator = graph.operators.find((one) => one.id === chosen);
  if (!operator) return $("detail").replaceChildren();
  const title = document.createElement("h3");
  title.textContent = operator.name;
  const where = document.createElement("p");
  where.textContent = `${operator.location}${operator.uid ? `, uid ${operator.uid}` : ""}` +
    `${operator.delivery ? `, ${operator.delivery}` : ""}` +
    `${loopOf(operator.name) ? `, in loop ${loopOf(operator.name)}` : ""}`;
  const list = document.createElement("table");
  list.id = "detail-table";
  $("detail").replaceChildren(title, where, list);
  table("detail-table", ["worker", "in/s", "out/s", "read", "sent", "runs", "busy", "held"],
    now.get(operator.id).workers.map((one) => [one.worker.worker, short(one.in), short(one.out),
      short(one.worker.records_in), short(one.worker.records_out), short(one.worker.activations), percent(one.busy),
      percent(one.held)]));
}

let shown = { graph: null, now: null };
let hasScrolled = false;

/** Brings the busiest operator into view, once, and not when a person has looked elsewhere. */
function scrollTo(id) {
  const area = $("graph");
  if (hasScrolled || area.scrollLeft > 0) return;
  hasScrolled = true;
  const box = drawn.nodes.get(id).group.getBoundingClientRect();
  area.scrollLeft = box.left + box.width / 2 - area.getBoundingClientRect().left - area.clientWidth / 2;
}

function show() {
  const { graph, now } = shown;
  if (!graph) return;
  const busiest = [...now].filter(([id]) => drawn.nodes.has(id)).sort((a, b) => b[1].busy - a[1].busy)[0];
  const slowest = busiest && busiest[1].busy > 0.01 ? busiest[0] : null;
  const name = graph.operators.find((operator) => operator.id === slowest)?.name;
  $("slowest").textContent = name ? `${name}: ${percent(busiest[1].busy)} of a worker's time` : "none is busy";
  fill(graph, now, slowest);
  if (slowest !== null) scrollTo(slowest);
  tables(graph, now);
  detail(graph, now);
}

async function step() {
  const status = $("status");
  try {
    const answer = await fetch("graph", { cache: "no-store" });
    if (!answer.ok) throw new Error(`status ${answer.status}`);
    const graph = await answer.json();
    if (!drawn || drawn.key !== keyOf(graph)) drawn = draw(graph);
    shown = { graph, now: rates(graph, before) };
    before = graph;
    const phase = document.createElement("b");
    phase.textContent = graph.phase;
    const workers = new Set(graph.operators.flatMap((operator) => operator.workers.map((worker) => worker.worker)));
    status.replaceChildren(phase, `, ${workers.size} worker${workers.size === 1 ? "" : "s"} in this process`);
    status.classList.toggle("bad", graph.phase === "failed");
    show();
  } catch (error) {
    const gone = document.createElement("b");
    gone.textContent = "not reachable";
    status.replaceChildren(gone, `: the job may have ended (${error.message}); the numbers are the last ones`);
    status.classList.add("bad");
  }
  setTimeout(step, EVERY_MS);
}

async function start() {
  try {
    const config = await (await fetch("config")).json();
    $("job").textContent = config["job-name"] ?? "";
    document.title = `${config["job-name"] ?? "job"} - Waterwheel`;
  } catch { /* The first step says that nothing can be reached. */ }
  step();
}

start();
