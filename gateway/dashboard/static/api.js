// The control plane, as functions. What is refused becomes an Error that says why, in the gateway's own words.

export async function offeredTasks() {
  return (await ask("/api/tasks")).tasks;
}

export async function status() {
  return ask("/api/status");
}

export async function nodes() {
  return ask("/api/nodes");
}

export async function submit(name, { args, kwargs, account }) {
  return ask(`/api/tasks/${encodeURIComponent(name)}`, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ args, kwargs, account }),
  });
}

async function ask(path, options = {}) {
  let response;
  try {
    response = await fetch(path, { cache: "no-store", signal: AbortSignal.timeout(15000), ...options });
  } catch {
    throw new Error("The gateway cannot be reached. Is it running?");
  }
  const answer = await response.json().catch(() => null);
  if (response.ok && answer !== null) return answer;
  const detail = answer?.detail ?? `The gateway answered ${response.status}.`;
  throw new Error(response.status === 503 ? `${sentence(detail)} Please try again.` : sentence(detail));
}

function sentence(text) {
  const capital = text.charAt(0).toUpperCase() + text.slice(1);
  return /[.!?]$/.test(capital) ? capital : `${capital}.`;
}
