// Lets a page's module read an answer of which one line has come and the end is open; returns what each asker is told.
async () => {
  const { Source } = await import(document.querySelector("link[rel=modulepreload]").href);
  const told = [];
  const body = { push: null, end: null };
  const stream = new ReadableStream({ start: (to) => Object.assign(body, { push: (text) => to.enqueue(new TextEncoder().encode(text)), end: () => to.close() }) });
  const real = window.fetch;
  const asked = [];
  window.fetch = async (_, { body: text, headers }) => {
    asked.push([Object.keys(JSON.parse(text).queries).length, headers.get("Accept")]);
    return new Response(stream);
  };
  try {
    const source = new Source({ src: "/", token: "t" });
    const ask = (metric) => source.ask({ metric, range: { last: "1d" } }).then(() => told.push(`${metric} answered`), ({ kind }) => told.push(`${metric} ${kind}`));
    source.ahead(["first", "second"].map((metric) => ({ metric, range: { last: "1d" } })));
    asked.push("sent");
    const [all, second] = [[ask("first"), ask("first")], ask("second")];
    const line = JSON.stringify({ query: "q0", answer: { columns: [], rows: [], meta: {} } });
    body.push(line.slice(0, 20));
    await new Promise((resolve) => setTimeout(resolve, 20));
    const early = told.length;
    body.push(`${line.slice(20)}\n`);
    await Promise.all(all);
    const open = [...told];
    body.end();
    await second;
    return { asked, early, open, told };
  } finally {
    window.fetch = real;
  }
}
