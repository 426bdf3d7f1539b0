/**
 * What the parts of the internal page are made of: tables and words, never markup of what the server said.
 */

export const found = (id) => document.getElementById(id);
export const number = new Intl.NumberFormat();

/** Says something in a line of the page. */
export function say(id, what, wrong = false) {
  found(id).textContent = what;
  found(id).className = wrong ? "wrong" : "";
}

/** Fills a table; a cell may be an element. */
export function table(id, heads, rows) {
  const head = element("tr");
  head.append(...heads.map((name, index) => element("th", name, kind(rows[0]?.[index]))));
  const lines = rows.map((row) => {
    const line = element("tr");
    line.append(...row.map((value) => (value instanceof Node ? cell(value) : element("td", text(value), kind(value)))));
    return line;
  });
  found(id).replaceChildren(head, ...lines);
  reach(found(id), rows.length > 0);
}

/** Lets keys scroll a table that is wider than the page; what surrounds it says what it is. */
function reach(made, filled) {
  const frame = made.parentElement;
  frame.toggleAttribute("tabindex", filled);
  if (filled) {
    frame.tabIndex = 0;
    frame.setAttribute("role", "region");
    frame.setAttribute("aria-label", made.dataset.of);
  }
}

export function element(name, content = "", className = "") {
  const made = document.createElement(name);
  made.textContent = content;
  made.className = className;
  return made;
}

/** Returns how many there are of something. */
export function many(amount, what) {
  return `${number.format(amount)} ${what}${amount === 1 ? "" : "s"}`;
}

export function words(name) {
  return name.replaceAll("_", " ");
}

/** Returns a moment in the reader's own way. */
export function moment(value) {
  return new Date(value).toLocaleString();
}

function cell(node) {
  const made = element("td", "", "name");
  made.append(node);
  return made;
}

function text(value) {
  return typeof value === "number" ? number.format(value) : (value ?? "");
}

function kind(value) {
  if (typeof value !== "number") {
    return "name";
  }
  return value === 0 ? "nothing" : "";
}
