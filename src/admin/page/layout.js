// Where the operators of a dataflow are drawn: in columns by their distance from the sources, in a band of rows for each
// loop. A feedback edge is no operator here: it is drawn as a line back to who reads it.

export const NODE = { width: 176, height: 58, columnGap: 54, rowGap: 22 };
const PAD = 18;

/** The loops around an operator, from the outermost: the name has them before its last slash. */
export function loopOf(name) {
  const at = name.lastIndexOf("/");
  return at < 0 ? "" : name.slice(0, at);
}

/** Operators and lines of `graph` (as `/graph` has it), with places; and a box for each loop. */
export function layout(graph) {
  const feedback = new Set(graph.connections.filter((line) => line.kind === "feedback").map((line) => line.to));
  const nodes = graph.operators
    .filter((operator) => !feedback.has(operator.id))
    .map((operator) => ({ operator, id: operator.id, loop: loopOf(operator.name) }));
  const byId = new Map(nodes.map((node) => [node.id, node]));
  const lines = linesOf(graph, feedback, byId);
  assignColumns(nodes, lines);
  const height = assignRows(nodes, lines);
  const columns = nodes.reduce((most, node) => Math.max(most, node.column + 1), 0);
  const boxes = loopBoxes(nodes);
  const depth = boxes.reduce((most, box) => Math.max(most, box.depth), 0);
  return {
    nodes, lines, boxes,
    width: columns * (NODE.width + NODE.columnGap) + 2 * PAD * (depth + 1),
    height: height + PAD * Math.max(1, depth),
  };
}

function linesOf(graph, feedback, byId) {
  const lines = [];
  const known = (id) => byId.has(id);
  for (const { from, to, kind } of graph.connections) {
    if (known(from) && known(to)) {
      lines.push({ from, to, kind });
    } else if (kind === "feedback" && known(from)) {
      const readers = graph.connections.filter((line) => line.from === to && known(line.to));
      readers.forEach((line) => lines.push({ from, to: line.to, kind }));
    }
  }
  return lines;
}

function assignColumns(nodes, lines) {
  const forward = lines.filter((line) => line.kind !== "feedback");
  const column = new Map(nodes.map((node) => [node.id, 0]));
  // As often as there are operators at most, should there be a circle after all.
  for (let turn = 0, moved = true; moved && turn < nodes.length; turn += 1) {
    moved = false;
    for (const { from, to } of forward) {
      if (column.get(to) < column.get(from) + 1 && column.get(from) + 1 < nodes.length) {
        column.set(to, column.get(from) + 1);
        moved = true;
      }
    }
  }
  nodes.forEach((node) => { node.column = column.get(node.id); });
  // A source is drawn just before who reads it first.
  for (const node of nodes) {
    const into = forward.some((line) => line.to === node.id);
    const readers = forward.filter((line) => line.from === node.id).map((line) => column.get(line.to));
    if (!into && readers.length > 0) node.column = Math.min(...readers) - 1;
  }
}

/** Gives each column its operators from the top down: first those in no loop, then loop by loop, each in a stretch of
 * columns of its own below what is there already, with the loops inside it under its own operators. */
function assignRows(nodes, lines) {
  const bottoms = new Map();
  const bottomOf = (column) => bottoms.get(column) ?? PAD * 2;
  const outermost = (node) => node.loop.split("/")[0];
  for (const group of [...new Set(nodes.map(outermost))].sort()) {
    const members = nodes.filter((node) => outermost(node) === group);
    const columns = members.map((node) => node.column);
    const stretch = range(Math.min(...columns), Math.max(...columns));
    let top = group === "" ? PAD * 2 : Math.max(...stretch.map(bottomOf)) + PAD;
    for (const loop of [...new Set(members.map((node) => node.loop))].sort()) {
      top = assignBand(members.filter((node) => node.loop === loop), top + depthOf(loop) * PAD, nodes, lines, bottoms);
    }
    if (group !== "") stretch.forEach((column) => bottoms.set(column, top + 2 * PAD));
  }
  return Math.max(PAD * 2, ...bottoms.values());
}

/** Places the operators of one loop below `top`, and returns where they end. */
function assignBand(band, top, nodes, lines, bottoms) {
  const taken = new Map();
  const inOrder = [...band].sort((a, b) => a.column - b.column || wish(a, nodes, lines) - wish(b, nodes, lines));
  for (const node of inOrder) {
    node.row = taken.get(node.column) ?? 0;
    taken.set(node.column, node.row + 1);
    node.x = PAD * 2 + node.column * (NODE.width + NODE.columnGap);
    node.y = top + node.row * (NODE.height + NODE.rowGap);
    bottoms.set(node.column, node.y + NODE.height + NODE.rowGap);
  }
  return top + Math.max(...taken.values()) * (NODE.height + NODE.rowGap) + PAD;
}

const depthOf = (loop) => (loop === "" ? 0 : loop.split("/").length);
const range = (first, last) => Array.from({ length: last - first + 1 }, (_, at) => first + at);

/** The mean height of those that an operator reads from. */
function wish(node, nodes, lines) {
  const from = lines.filter((line) => line.to === node.id && line.kind !== "feedback").map((line) => line.from);
  const rows = nodes.filter((other) => from.includes(other.id)).map((other) => other.row ?? 0);
  return rows.length === 0 ? node.id : rows.reduce((sum, row) => sum + row, 0) / rows.length;
}

function loopBoxes(nodes) {
  const names = new Set();
  for (const node of nodes) {
    const parts = node.loop === "" ? [] : node.loop.split("/");
    parts.forEach((_, at) => names.add(parts.slice(0, at + 1).join("/")));
  }
  const deepest = Math.max(0, ...[...names].map((name) => name.split("/").length));
  return [...names].sort().map((name) => {
    const inside = nodes.filter((node) => node.loop === name || node.loop.startsWith(`${name}/`));
    const depth = name.split("/").length;
    const margin = PAD * 0.7 * (deepest - depth + 1);
    const left = Math.min(...inside.map((node) => node.x)) - margin;
    const top = Math.min(...inside.map((node) => node.y)) - margin - 16;
    const right = Math.max(...inside.map((node) => node.x)) + NODE.width + margin;
    const bottom = Math.max(...inside.map((node) => node.y)) + NODE.height + margin + 14;
    return { name, depth, x: left, y: top, width: right - left, height: bottom - top };
  });
}
