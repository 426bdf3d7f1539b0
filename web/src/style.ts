/**
 * The style sheets of the elements, made once: constructed ones, so that no policy of a page forbids them.
 */

import chart from "./chart.css";
import dashboard from "./dashboard.css";
import shared from "./tokens.css";
import value from "./value.css";

function sheetOf(text: string): CSSStyleSheet {
  const sheet = new CSSStyleSheet();
  sheet.replaceSync(text);

  return sheet;
}

export const tokens = sheetOf(shared);
export const chartSheet = sheetOf(chart);
export const valueSheet = sheetOf(value);
export const dashboardSheet = sheetOf(dashboard);
