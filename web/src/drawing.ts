/**
 * What every kind of chart gives to what shows it: a picture, and places in it that a pointer or a key can visit.
 */

import type { Model } from "./model";

export interface Box {
  width: number;
  height: number;
  /** Returns the width of a text at an axis. */
  measure(text: string): number;
}

export interface TipRow {
  colour: string;
  name: string;
  value: string;
}

export interface Place {
  /** Where its tip points at. */
  x: number;
  y: number;
  title: string;
  rows: TipRow[];
  /** What a click on it tells the page. */
  detail: {
    time: string | null;
    group: string | null;
    /** The value of each dimension that it is grouped by. */
    groups: Record<string, string | null> | null;
    value: number | null;
  };
}

export interface Drawing {
  picture: SVGSVGElement;
  places: number;
  /** Returns the place that is meant by a point of the picture. */
  nearest(x: number, y: number): number | null;
  /** Returns the place that a key leads to, from one or from none. */
  next(from: number | null, key: string): number | null | undefined;
  /** Marks a place, or none. */
  mark(place: number | null): void;
  describe(place: number): Place;
}

export type Draw = (model: Model, box: Box) => Drawing;

/** Walks places in their order: left and right, home and end. */
export function along(count: number): Drawing["next"] {
  return (from, key) => {
    const keys: Record<string, number | null> = {
      ArrowLeft: (from ?? count) - 1,
      ArrowUp: (from ?? count) - 1,
      ArrowRight: (from ?? -1) + 1,
      ArrowDown: (from ?? -1) + 1,
      Home: 0,
      End: count - 1,
      Escape: null,
    };
    const target = keys[key];

    return typeof target === "number" ? Math.max(0, Math.min(count - 1, target)) : target;
  };
}

/** Returns text that fits a width, cut with an ellipsis. */
export function fitted(text: string, width: number, measure: Box["measure"]): string {
  if (measure(text) <= width) {
    return text;
  }
  let length = text.length - 1;
  while (length > 1 && measure(`${text.slice(0, length)}…`) > width) {
    length -= 1;
  }

  return `${text.slice(0, length)}…`;
}
