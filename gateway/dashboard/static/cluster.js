// The nodes of the cluster, and the numbers that its leader brings, as they come.

import { nodes } from "./api.js";
import { Feed } from "./feed.js";

const PAUSE = 2000; // milliseconds between two looks at the nodes
const SHOWN = 5; // numbers

const at = (id) => document.getElementById(id);
const numbers = [];

const feed = new Feed((event) => {
  if (!("number" in (event.data ?? {}))) return;
  numbers.push(event.data.number);
  numbers.splice(0, numbers.length - SHOWN);
  at("numbers").textContent = numbers.join(" · ");
  at("numbers-line").hidden = false;
});

async function look() {
  if (document.visibilityState === "visible") show(await nodes().catch(() => null));
  setTimeout(look, PAUSE);
}

// While no gateway answers, the connection says so; what was known stays.
function show(answer) {
  if (answer === null) return;
  at("cluster").hidden = answer.nodes.length === 0;
  at("leadership").textContent = answer.leader ? `Term ${answer.term}, led by ${answer.leader}` : "No leader now";
  at("nodes").replaceChildren(...answer.nodes.map((node) => row(node, node.id === answer.leader)));
}

function row(node, leads) {
  const item = document.createElement("li");
  const name = document.createElement("span");
  const state = document.createElement("span");
  item.dataset.state = node.status === null ? "lost" : node.status.draining ? "draining" : "alive";
  name.textContent = leads ? `★ ${node.id}` : node.id;
  state.textContent = { lost: "does not answer", draining: "draining", alive: subscribers(node.status) }[item.dataset.state];
  state.className = "faint-text";
  item.append(name, state);
  return item;
}

const subscribers = ({ subscribers: count }) => (count === 1 ? "1 subscriber" : `${count} subscribers`);

export function watchCluster() {
  feed.open("numbers", "now");
  look();
}
