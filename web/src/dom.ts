/**
 * Makes elements, with text as text: nothing of an answer is ever read as markup.
 */

const SVG = "http://www.w3.org/2000/svg";

type Attributes = Record<string, string | number>;

export function svg<K extends keyof SVGElementTagNameMap>(name: K, attributes: Attributes = {}): SVGElementTagNameMap[K] {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) {
    made.setAttribute(key, String(value));
  }

  return made;
}

export function svgText(content: string, attributes: Attributes): SVGTextElement {
  const made = svg("text", attributes);
  made.textContent = content;

  return made;
}

export function html<K extends keyof HTMLElementTagNameMap>(
  name: K,
  className = "",
  ...content: (Node | string)[]
): HTMLElementTagNameMap[K] {
  const made = document.createElement(name);
  if (className) {
    made.className = className;
  }
  made.append(...content);

  return made;
}

/** Returns a button that does something. */
export function button(className: string, label: string, act: () => void): HTMLButtonElement {
  const made = html("button", className, label);
  made.type = "button";
  made.addEventListener("click", act);

  return made;
}

/** Writes text where it is another than before: what did not change is not read out again. */
export function write(part: Element, content: string): void {
  if (part.textContent !== content) {
    part.textContent = content;
  }
}
