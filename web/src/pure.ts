/**
 * What is decided without a browser, for the tests: `node` runs it by itself.
 */

export * as format from "./format";
export * as question from "./question";
export * as save from "./save";
export * as scale from "./scale";
export * as series from "./series";
export * as model from "./model";
export { Zone } from "./zone";
