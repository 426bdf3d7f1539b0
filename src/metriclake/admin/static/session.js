/**
 * How the internal page asks: by its session, and with the header by which the server knows the page.
 */

const PAGE = { "X-Metriclake-Page": "internal" };

/** Begins a session; returns the server's answer. */
export function begin(key) {
  return sent("session", { method: "POST", body: JSON.stringify({ key }) });
}

/** Ends the session. */
export function end() {
  return sent("session", { method: "DELETE" });
}

/** Asks an internal route; throws what the server has against it, with its `status`. */
export async function ask(what, body) {
  const answer = await sent(what, body === undefined ? {} : { method: "POST", body: typeof body === "string" ? body : JSON.stringify(body) });
  const said = await answer.json();
  if (!answer.ok) {
    const faults = (said.errors ?? []).map(({ place, error }) => `${place} ${error}`);
    throw Object.assign(new Error([said.detail, ...faults].join("; ")), { status: answer.status });
  }
  return said;
}

function sent(what, options) {
  return fetch(new URL(`../v1/admin/${what}`, import.meta.url), { headers: PAGE, credentials: "same-origin", ...options });
}
