/**
 * What is said where there is nothing to show: why, and what to do about it.
 */

import { button, html } from "./dom";
import { Problem, type ProblemKind } from "./source";

export type StateKind = ProblemKind | "empty";

const SAID: Record<StateKind, [title: string, sentence: string]> = {
  missing: ["Open this from your product", "It shows numbers only to someone who brings a key, and none came along."],
  token: ["This visit has ended", "The key is no longer valid. Reload the page, or open it from your product again."],
  forbidden: ["Not open to you", "The key that came along does not allow this. Ask whoever gave it to you."],
  network: ["No connection", "The server cannot be reached. Check your connection; this tries again by itself."],
  server: ["Not available right now", "The server could not answer. This tries again by itself."],
  refused: ["This cannot be shown", "The server did not accept the question."],
  absent: ["Nothing here yet", "Numbers appear by themselves as soon as something happens."],
  empty: ["Nothing here yet", "Numbers appear by themselves as soon as something happens."],
};

/** Tells whether trying again can be of use. */
export function passes(problem: unknown): boolean {
  return !(problem instanceof Problem) || problem.kind === "network" || problem.kind === "server";
}

export function kindOf(problem: unknown): ProblemKind {
  return problem instanceof Problem ? problem.kind : "server";
}

/** Returns the words of a state in one line. */
export function sentence(kind: StateKind): string {
  return SAID[kind].join(". ");
}

/** Returns what stands in place of a chart or a dashboard. */
export function statePart(kind: StateKind, detail: string, retry: (() => void) | null): HTMLElement {
  const [title, said] = SAID[kind];
  const icon = html("span", "state-icon");
  icon.setAttribute("aria-hidden", "true");
  const part = html("div", `state ${kind}`, icon, html("p", "state-title", title), html("p", "state-text", said));
  part.setAttribute("role", kind === "empty" || kind === "absent" ? "note" : "alert");
  if (detail && ["refused", "empty", "forbidden"].includes(kind)) {
    part.append(html("p", "state-detail", detail));
  }
  if (retry && !["missing", "empty", "absent"].includes(kind)) {
    part.append(button("state-action", "Try again", retry));
  }

  return part;
}
