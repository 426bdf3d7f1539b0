/**
 * The audit trail: what was done with the admin key.
 */

import { element, found, moment, table } from "./parts.js";
import { ask } from "./session.js";

let lines = [];
let before = 0;
let soon = 0;

found("older").addEventListener("click", more);
found("whose").addEventListener("submit", (event) => event.preventDefault());
found("of").addEventListener("input", () => {
  clearTimeout(soon);
  soon = setTimeout(showAudit, 250);
});

export async function showAudit() {
  lines = [];
  before = 0;
  await more();
}

async function more() {
  const asked = { ...(before ? { before } : {}), ...(found("of").value.trim() ? { tenant: found("of").value.trim() } : {}) };
  const page = await ask(`audit?${new URLSearchParams(asked)}`);
  lines = [...lines, ...page.lines];
  before = page.next;
  found("older").hidden = !before;
  table(
    "lines",
    ["when", "what", "tenant", "asked for", "by", "from", "request"],
    lines.map(({ at, action, tenant, facts, by, client, request_id }) => [
      moment(at), action, tenant ?? "", said(facts), by, client, element("code", request_id),
    ]),
  );
}

function said(facts) {
  return Object.entries(facts).map(([name, value]) => `${name}: ${value}`).join(", ");
}
