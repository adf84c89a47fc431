// The page: a form that submits tasks, and the list of what happens for one account.

import { offeredTasks, status, submit } from "./api.js";
import { watchCluster } from "./cluster.js";
import { Feed } from "./feed.js";
import { Task } from "./task.js";

const MOST_ROWS = 200;
const CONNECTION = { connecting: "Connecting", live: "Live", waiting: "Not connected, trying again" };
const ACCOUNT = /^[A-Za-z0-9._:@-]{1,128}$/;

const at = (id) => document.getElementById(id);
const now = () => Date.now() / 1000;

const tasks = new Map(); // by task id, in the order in which they appeared
const changed = new Set();
let offered = [];
let account = "";
let connected = false;
let listening = false; // false while history is replayed, which is not read out

const feed = new Feed((event) => {
  if ("state" in event) showConnection(event);
  else if ("gap" in event) showGap();
  else take(event.data);
});

function take(event) {
  if (typeof event?.task_id !== "string" || typeof event.state !== "string") return;
  const task = known(event.task_id, event.task || "task");
  task.apply(event);
  touch(task);
  if (task.end && listening) at("announcer").textContent = `${task.shortName}: ${task.label}`;
}

function known(id, name) {
  const found = tasks.get(id);
  if (found) return found;
  const task = new Task(id, name);
  tasks.set(id, task);
  if (tasks.size > MOST_ROWS) forget(tasks.values().next().value);
  return task;
}

function forget(task) {
  tasks.delete(task.id);
  changed.delete(task);
  task.element.remove();
}

function touch(task) {
  if (changed.size === 0) requestAnimationFrame(render);
  changed.add(task);
}

function render() {
  for (const task of changed) {
    task.render(now());
    if (!task.element.isConnected) at("tasks").prepend(task.element);
  }
  changed.clear();
  at("empty").hidden = tasks.size > 0;
  at("summary").textContent = summary();
}

function summary() {
  if (tasks.size === 0) return "";
  const running = [...tasks.values()].filter((task) => !task.end).length;
  const ended = tasks.size - running;
  return [running && `${running} under way`, ended && `${ended} ended`].filter(Boolean).join(", ");
}

function showConnection({ state }) {
  at("connection").dataset.state = state;
  at("connection-text").textContent = CONNECTION[state];
  at("retry").hidden = state !== "waiting";
  connected = state === "live";
  if (connected) {
    showNode();
    setTimeout(() => (listening = connected), 1000);
    if (offered.length === 0) loadTasks();
  } else listening = false;
}

async function showNode() {
  const { node } = await status().catch(() => ({}));
  at("node").hidden = !node;
  at("node").textContent = node ? `node ${node}` : "";
}

function showGap() {
  at("gap").hidden = false;
  at("gap").textContent = "Some older events of this account are no longer kept, and are missing here.";
}

function watch(name) {
  if (name === account) return;
  account = name;
  tasks.forEach(forget);
  render();
  at("gap").hidden = true;
  at("watched").textContent = name;
  at("account").value = name;
  const path = name.split("/").map(encodeURIComponent).join("/");
  showCommand(`curl -N ${window.location.origin}/channels/accounts/${path}`);
  const address = new URL(window.location);
  address.searchParams.set("account", name);
  window.history.replaceState(null, "", address);
  feed.open(`accounts/${name}`);
}

// Long addresses break after their slashes.
function showCommand(command) {
  const parts = command.split(/(?<=[^/]\/)(?!\/)/).flatMap((part) => [part, document.createElement("wbr")]);
  at("command").replaceChildren(...parts);
}

async function loadTasks() {
  try {
    offered = await offeredTasks();
  } catch (error) {
    complain(error.message);
    return;
  }
  const options = offered.map((task) => new Option(task.name, task.name));
  at("task").replaceChildren(...options);
  at("submit").disabled = offered.length === 0;
  if (offered.length === 0) complain("This gateway submits no tasks: its setting “tasks” is empty.");
  else {
    complain("");
    showTask();
  }
}

function showTask() {
  const task = offered.find(({ name }) => name === at("task").value);
  at("task-hint").textContent = task?.about ?? "";
  at("args").value = JSON.stringify(task?.args ?? []);
  at("kwargs").value = JSON.stringify(task?.kwargs ?? {});
  complain("");
}

// Show what is wrong, and with which field; an empty message takes it back.
function complain(message, field = null) {
  at("trouble").textContent = message;
  at("trouble").hidden = message === "";
  for (const input of at("submission").elements) {
    if (input === field) input.setAttribute("aria-invalid", "true");
    else input.removeAttribute("aria-invalid");
  }
  field?.focus();
}

function readAccount() {
  const name = at("account").value.trim();
  if (ACCOUNT.test(name) && name !== "." && name !== "..") return name;
  complain("An account is 1 to 128 letters, digits and . _ - : @", at("account"));
  return null;
}

function readJson(field, fits, expected) {
  try {
    const value = JSON.parse(at(field).value);
    if (fits(value)) return value;
  } catch {
    // said below
  }
  complain(expected, at(field));
  return null;
}

async function send(event) {
  event.preventDefault();
  const name = readAccount();
  const args = name && readJson("args", Array.isArray, "Arguments are a JSON list, such as [2, 3]");
  const isObject = (value) => value !== null && typeof value === "object" && !Array.isArray(value);
  const kwargs = args && readJson("kwargs", isObject, 'Named arguments are a JSON object, such as {"total": 10}');
  if (!kwargs) return;
  complain("");
  watch(name);
  const task = at("task").value;
  at("submit").disabled = true;
  try {
    const { task_id: id } = await submit(task, { args, kwargs, account: name });
    if (account === name) showSubmitted(id, task);
  } catch (error) {
    complain(error.message);
  } finally {
    at("submit").disabled = false;
  }
}

// Its events may have come before the answer did.
function showSubmitted(id, name) {
  const task = known(id, name);
  task.submitted ??= now();
  touch(task);
}

async function copy() {
  await navigator.clipboard.writeText(at("command").textContent);
  at("copy").textContent = "Copied";
  setTimeout(() => (at("copy").textContent = "Copy"), 2000);
}

at("submission").addEventListener("submit", send);
at("task").addEventListener("change", showTask);
at("account").addEventListener("change", () => {
  const name = readAccount();
  if (name) {
    complain("");
    watch(name);
  }
});
at("retry").addEventListener("click", () => feed.hurry());
at("copy").addEventListener("click", copy);
at("copy").hidden = !navigator.clipboard;
setInterval(() => tasks.forEach((task) => task.end || touch(task)), 1000);

loadTasks();
watchCluster();
const wanted = new URLSearchParams(window.location.search).get("account") ?? "";
watch(ACCOUNT.test(wanted) ? wanted : "demo");
