/**
 * Why an event matches a rule or not.
 */

import { element, found, say, table } from "./parts.js";
import { ask } from "./session.js";

found("explain").addEventListener("submit", async (event) => {
  event.preventDefault();
  try {
    const { bus, rules } = await ask("rules/explain", found("event").value);
    const matching = rules.filter(({ matches }) => matches).length;
    say("explained", `Bus ${bus}: ${matching} of ${rules.length} rules match.`);
    table("reasons", rules.length > 0 ? ["rule", "verdict", "why, or what it makes"] : [], rules.map((rule) => [rule.rule, rule.matches ? "matches" : "does not match", what(rule)]));
  } catch (error) {
    table("reasons", [], []);
    say("explained", error.message, true);
  }
});

export function showRules() {}

function what({ why, metric_event, refused }) {
  if (refused) {
    return element("span", `refused, ${refused.reason}: ${refused.message}`, "wrong");
  }
  return why ? element("span", why) : element("code", JSON.stringify(metric_event));
}
