/**
 * Customer-facing charts as custom elements: `<metric-chart>`, `<metric-value>`, `<metric-dashboard>`.
 */

import { MetricChart } from "./metric-chart";
import { MetricDashboard } from "./metric-dashboard";
import { MetricValue } from "./metric-value";
import { attempt, configure, Problem, problemOf, Source, type Access, type GetAnswer, type GetToken } from "./source";

for (const [name, element] of Object.entries({
  "metric-chart": MetricChart,
  "metric-value": MetricValue,
  "metric-dashboard": MetricDashboard,
})) {
  // Two copies of this module on one page are no reason to break it: the first one serves.
  if (!customElements.get(name)) {
    customElements.define(name, element);
  }
}

export {
  attempt, configure, MetricChart, MetricDashboard, MetricValue, Problem, problemOf, Source,
  type Access, type GetAnswer, type GetToken,
};
