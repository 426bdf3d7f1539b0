/**
 * Lets one thing be drawn after the other: between two of them the browser paints, scrolls and hears its reader.
 */

const waiting: (() => void)[] = [];
const { port1, port2 } = new MessageChannel();

port1.onmessage = () => {
  const next = waiting.shift();
  if (waiting.length > 0) {
    port2.postMessage(null);
  }
  next?.();
};

/** Waits for a turn: a task of its own, after those of all who have waited for longer. */
export function turn(): Promise<void> {
  return new Promise((resolve) => {
    waiting.push(resolve);
    if (waiting.length === 1) {
      port2.postMessage(null);
    }
  });
}

/** Does what can wait, once the browser has nothing better to do; half a second later at the latest. */
export function whenIdle(action: () => void): void {
  if ("requestIdleCallback" in window) {
    requestIdleCallback(action, { timeout: 500 });
  } else {
    setTimeout(action, 100);
  }
}
