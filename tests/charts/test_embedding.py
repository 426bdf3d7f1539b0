"""
The snippets of docs/embedding.md, taken from there and run: charts in pages of another origin, and tokens for them.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import jwt
import pytest
from playwright.sync_api import expect

from app.server import Running
from charts.browser import Open, answers, token, url
from charts.host import Host
from charts.web import WEB, bundle
from metriclake.tokens import mint_tenant, verify_tenant

pytestmark = pytest.mark.engine

DOC = (Path(__file__).parents[2] / "docs" / "embedding.md").read_text("utf-8")
MODULE = "https://metrics.example.com/assets/metriclake.js"
REPLACED = {"findings_fixed": "findings", 'name="security"': 'name="overview"', "/d/security": "/d/overview"}


def snippet(language: str, number: int = 0) -> str:
    """
    Return an example of the documentation.
    """
    found: list[str] = re.findall(rf"^```{language}\n(.*?)^```", DOC, re.DOTALL | re.MULTILINE)
    return found[number]


def fitted(text: str, server: Running) -> str:
    """
    Return an example with the names of the tests' server and its metrics.
    """
    for name, other in REPLACED.items():
        text = text.replace(name, other)
    return text.replace("https://metrics.example.com", url(server, "/").rstrip("/"))


@pytest.fixture
def product(server: Running, host: Host) -> Iterator[Callable[..., str]]:
    """
    Return what serves a page of the product under its strict policy, with a back end that mints tokens for it.
    """

    def serve(page: str, *, tenant: str = "acme", ttl: float = 300, **claims: Any) -> str:
        def mint() -> str:
            lives = timedelta(seconds=ttl)
            return mint_tenant(
                server.keys.signing, tenant, now=datetime.now(UTC), ttl=lives, origin=host.origin, **claims
            )

        host.serve_for(url(server, "/").rstrip("/"), mint)
        return host.put("/page.html", apart(host, page))

    yield serve
    host.policy = ""


def apart(host: Host, page: str) -> str:
    """
    Serve a page's scripts and styles as files, as its policy asks, and return the page with their names.
    """
    for index, script in enumerate(re.findall(r'<script type="module">\n(.*?)</script>', page, re.DOTALL)):
        host.put(f"/script{index}.js", script, "text/javascript")
        page = page.replace(
            f'<script type="module">\n{script}</script>', f'<script type="module" src="/script{index}.js"></script>'
        )
    host.put("/page.css", "body { margin: 24px; } iframe { width: 100%; height: 900px; border: 0; }", "text/css")
    links = '<title>Product</title><link rel="stylesheet" href="/page.css">'
    head = f'<html lang="en"><head><meta charset="utf-8">{links}</head>'
    return f"<!doctype html>{head}<body><main><h1>Product</h1>{page}</main></body></html>"


def total(server: Running, tenant: str = "acme") -> str:
    """
    Return the API's number of findings in 30 days, as it is written.
    """
    ((number,),) = answers(server, {"metric": "findings", "range": {"last": "30d"}}, tenant)["rows"]
    return f"{number:,}"


def test_plain_html(server: Running, visit: Open, product: Callable[..., str]) -> None:
    """
    A page of another origin shows a dashboard, a number and a chart; its policy allows nothing inline.
    """
    page = visit(product(fitted(snippet("html"), server)), viewport={"width": 1200, "height": 900})
    page.settled()

    expect(page.page.locator("main > metric-value .number")).to_have_text(total(server))
    assert page.page.locator("main > metric-chart path.bar").count() == 5
    assert page.page.locator("metric-dashboard metric-chart").count() == 10
    # The elements of a page ask in one request, a dashboard's in another once it knows its tiles.
    assert len(page.asked[0]["queries"]) == 3
    page.shoot("embedded-html")


@pytest.mark.parametrize("framework", ["react", "vue"])
def test_frameworks(
    server: Running, visit: Open, product: Callable[..., str], tmp_path: Path, host: Host, framework: str
) -> None:
    """
    The snippets for React and Vue draw, follow their properties, and hear of a point that is clicked.
    """
    page_of, language = {"react": (react, "jsx"), "vue": (vue, "vue")}[framework]
    script = page_of(fitted(snippet(language), server), tmp_path, f"{url(server, '/')}assets/metriclake.js")
    address = product('<div id="app"></div><p id="pointed"></p><script type="module" src="/app.js"></script>')
    host.put("/app.js", script.read_text("utf-8"), "text/javascript")
    # Vue's own warnings ask for Trusted Types; the components do not need them switched off.
    host.policy = host.policy.replace("; require-trusted-types-for 'script'", "")
    page = visit(address)
    chart = page.page.locator("metric-chart")
    expect(chart.locator("path.bar")).not_to_have_count(0)
    page.page.get_by_role("button", name="7 days").click()
    page.settled()

    expect(chart.locator("tbody tr")).to_have_count(8)
    chart.locator(".plot").focus()
    page.page.keyboard.press("Home")
    page.page.keyboard.press("Enter")
    rows = answers(server, {"metric": "findings", "range": {"last": "7d"}, "interval": "day", "fill": "zero"})["rows"]
    expect(page.page.locator("#pointed")).to_have_text(str(rows[0][1]))
    page.shoot(f"embedded-{framework}")


def react(component: str, folder: Path, module: str) -> Path:
    """
    Build an application of React around the component of the snippet.
    """
    (folder / "findings.jsx").write_text(component, encoding="utf-8")
    (folder / "app.jsx").write_text(
        """
import { useCallback, useState } from "react";
import { createRoot } from "react-dom/client";
import { Findings } from "./findings.jsx";

function App() {
  const [range, setRange] = useState("30d");
  const onPoint = useCallback(({ value }) => { document.querySelector("#pointed").textContent = value; }, []);
  return <><button onClick={() => setRange("7d")}>7 days</button><Findings range={range} onPoint={onPoint} /></>;
}
createRoot(document.querySelector("#app")).render(<App />);
""",
        encoding="utf-8",
    )
    options = ("--jsx=automatic", "--minify", '--define:process.env.NODE_ENV="production"', f"--external:{module}")
    return bundle(folder / "app.jsx", folder / "app.js", *options, modules=True)


def vue(component: str, folder: Path, module: str) -> Path:
    """
    Build an application of Vue around the component of the snippet, compiled as a Vue project does.
    """
    (folder / "findings.vue").write_text(component, encoding="utf-8")
    compiler = """
import { readFileSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
const { parse, compileScript } = createRequire(process.argv[3] + "/package.json")("vue/compiler-sfc");
const { descriptor } = parse(readFileSync(process.argv[2] + "/findings.vue", "utf8"));
const compilerOptions = { isCustomElement: (tag) => tag.startsWith("metric-") };
const { content } = compileScript(descriptor, { id: "f", inlineTemplate: true, templateOptions: { compilerOptions } });
writeFileSync(process.argv[2] + "/findings.js", content);
"""
    (folder / "compile.mjs").write_text(compiler, encoding="utf-8")
    (folder / "app.mjs").write_text(
        """
import { createApp, h, ref } from "vue";
import Findings from "./findings.js";

const range = ref("30d");
const onPoint = ({ value }) => { document.querySelector("#pointed").textContent = value; };
createApp({ render: () => [
  h("button", { onClick: () => { range.value = "7d"; } }, "7 days"), h(Findings, { range: range.value, onPoint }),
] }).mount("#app");
""",
        encoding="utf-8",
    )
    command = [str(shutil.which("node")), str(folder / "compile.mjs"), str(folder), str(WEB)]
    bundle(WEB / "src" / "pure.ts", folder / "unused.js", "--loader:.css=text")
    subprocess.run(command, check=True, capture_output=True, timeout=60)  # noqa: S603 - our own script
    flags = ("__VUE_OPTIONS_API__", "__VUE_PROD_DEVTOOLS__", "__VUE_PROD_HYDRATION_MISMATCH_DETAILS__")
    options = (*(f"--define:{flag}=false" for flag in flags), '--define:process.env.NODE_ENV="production"')
    return bundle(folder / "app.mjs", folder / "app.js", "--minify", f"--external:{module}", *options, modules=True)


def test_a_frame(server: Running, visit: Open, product: Callable[..., str], host: Host) -> None:
    """
    A dashboard in a frame asks the page around it for its token, which is bound to that page's origin.
    """
    page = visit(product(fitted(snippet("html", 1), server)), viewport={"width": 1200, "height": 1000})
    frame = page.page.frame_locator("#metrics")

    expect(frame.locator('[heading="Findings"] .number')).to_have_text(total(server))
    assert host.minted == 1
    page.shoot("embedded-frame")


def test_a_page_that_is_not_named_may_not_frame(server: Running, visit: Open) -> None:
    """
    A page of any other origin sees an empty frame.
    """
    with Host() as other:
        page = visit(
            other.put("/page.html", f'<iframe id="metrics" src="{url(server, "/d/overview")}"></iframe>'),
            expected=("frame-ancestors", "Framing", "CSP"),
        )
        page.page.wait_for_timeout(300)

        assert page.page.frames[1].url.startswith("chrome-error")


def test_a_page_that_is_not_named_may_not_ask(server: Running, visit: Open) -> None:
    """
    Its elements say that there is no connection, and no number reaches the page.
    """
    with Host() as other:
        key = token(server)
        markup = f'<script type="module" src="{url(server, "/assets/metriclake.js")}"></script>'
        page = visit(
            other.put("/page.html", f'{markup}<metric-value token="{key}" metric="findings"></metric-value>'),
            expected=("CORS", "ERR_FAILED"),
        )

        expect(page.page.locator(".state-title")).to_have_text("No connection")
        assert page.page.locator(".number").inner_text() == ""


def test_a_token_of_another_page_is_refused(server: Running, visit: Open, host: Host) -> None:
    """
    A token that is bound to one origin does not work in a page of another, nor in our own page at its top.
    """
    bound = token(server, origin="https://elsewhere.example.com")
    host.serve_for(url(server, "/").rstrip("/"), lambda: bound)
    page = visit(host.put("/page.html", apart(host, fitted(snippet("html"), server))), expected=("status of 403",))
    expect(page.page.locator("main > metric-value .state-title")).to_have_text("Not open to you")
    host.policy = ""
    alone = visit(url(server, f"/d/overview#token={token(server, origin=host.origin)}"), expected=("status of 403",))

    expect(alone.page.get_by_role("alert")).to_contain_text("Not open to you")


def test_a_token_is_renewed(server: Running, visit: Open, product: Callable[..., str], host: Host) -> None:
    """
    Tokens that end are replaced by new ones from the page's callback, without a word to the reader.
    """
    page = visit(product(fitted(snippet("html"), server), ttl=2), expected=("status of 401",))
    page.settled()
    minted = host.minted
    page.page.wait_for_timeout(2500)
    page.page.evaluate("document.querySelector('main > metric-value').refresh()")
    page.settled()

    expect(page.page.locator("main > metric-value .number")).to_have_text(total(server))
    assert host.minted > minted
    assert page.page.locator(".state.token").count() == 0


def test_a_token_that_is_refused_is_asked_for_once_more(server: Running, visit: Open, host: Host) -> None:
    """
    Where the server does not take a token, the callback is asked once more, and then the reader is told.
    """
    tokens = iter(["a.b.c", token(server)])
    host.serve_for(url(server, "/").rstrip("/"), lambda: next(tokens))
    single = re.sub(r"<metric-(dashboard|chart).*?></metric-\1>", "", fitted(snippet("html"), server))
    page = visit(host.put("/page.html", apart(host, single)), expected=("status of 401",))
    expect(page.page.locator("metric-value .number")).to_have_text(total(server))
    page.page.goto("about:blank")  # else the page that is left may ask for another token on its way out
    page.page.wait_for_timeout(500)
    host.serve_for(url(server, "/").rstrip("/"), lambda: "a.b.c")
    page.page.go_back()

    expect(page.page.locator("metric-value .state-title")).to_have_text("This visit has ended")
    assert host.minted == 2


def test_another_tenant_takes_the_place_of_the_first(server: Running, visit: Open, product: Callable[..., str]) -> None:
    """
    When the page hands over another tenant's token, nothing of the first stays.
    """
    page = visit(product(fitted(snippet("html"), server)))
    page.settled()
    page.page.evaluate("(token) => document.querySelector('main > metric-value').setAttribute('token', token)",
                       token(server, "globex"))  # fmt: skip

    expect(page.page.locator("main > metric-value .number")).to_have_text(total(server, "globex"))


def claims_of(text: str, monkeypatch: pytest.MonkeyPatch, run: Callable[[str], str]) -> Any:
    """
    Return the claims of a token that an example mints, as the server verifies them.
    """
    key = "a-signing-key-of-the-tests-0123456789"
    monkeypatch.setenv("METRICLAKE_SIGNING_KEY", key)
    minted = run(text)
    assert jwt.get_unverified_header(minted) == {"alg": "HS256", "typ": "JWT"}
    return verify_tenant(f"Bearer {minted}", key, now=datetime.now(UTC))


def run_python(text: str) -> str:
    """
    Run the example in Python.
    """
    names: dict[str, Any] = {}
    exec(text, names)  # noqa: S102 - the documentation's own example
    return str(names["metrics_token"]("acme"))


def run_node(text: str) -> str:
    """
    Run the example in Node.js; skips the test where that is not installed.
    """
    node = shutil.which("node")
    if node is None:
        pytest.skip("Node.js is not installed: the example in JavaScript is not run")
    script = f"{text}\nprocess.stdout.write(metricsToken('acme'));"
    command = [node, "--input-type=module", "--eval", script]
    return subprocess.run(command, check=True, capture_output=True, text=True, env=os.environ, timeout=60).stdout  # noqa: S603 - as above


def run_go(text: str) -> str:
    """
    Run the example in Go; skips the test where that is not installed.
    """
    go = shutil.which("go")
    if go is None:
        pytest.skip("Go is not installed: the example in Go is not run")
    folder = Path(os.environ["GO_EXAMPLE"])
    main = text.replace("package metrics", "package main").replace('"os"', '"fmt"\n\t"os"')
    main += '\nfunc main() {\n\ttoken, _ := Token("acme")\n\tfmt.Print(token)\n}\n'
    (folder / "main.go").write_text(main, encoding="utf-8")
    command = [go, "run", str(folder / "main.go")]
    return subprocess.run(command, check=True, capture_output=True, text=True, env=os.environ, timeout=300).stdout  # noqa: S603 - as above


@pytest.mark.parametrize(("language", "run"), [("python", run_python), ("js", run_node), ("go", run_go)])
def test_tokens_are_minted(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, language: str, run: Callable[[str], str]
) -> None:
    """
    What each example mints is a token that the server takes, with the bounds that the example names.
    """
    monkeypatch.setenv("GO_EXAMPLE", str(tmp_path))
    claims = claims_of(snippet(language), monkeypatch, run)

    assert claims.tenant_id == "acme"
    assert claims.dashboards == frozenset({"security"})
    assert claims.origin == "https://app.example.com"
    assert timedelta(minutes=14) < claims.expires - datetime.now(UTC) <= timedelta(minutes=15)


def test_every_custom_property_is_documented() -> None:
    """
    What the style sheets let a page set is in the table, and nothing else is.
    """
    sources = "".join(path.read_text("utf-8") for path in (WEB / "src").glob("*.css") if path.name != "page.css")
    used = {re.sub(r"-\d$", "", name) for name in re.findall(r"var\((--ml-[\w-]+)", sources)}
    table = DOC.partition("## Looks")[2].partition("## Policies")[0]
    documented = {re.sub(r"-\d$", "", name) for name in re.findall(r"`(--ml-[\w-]+)`", table)}

    assert used == documented


def test_every_attribute_is_documented() -> None:
    """
    What the elements observe is in the documentation.
    """
    source = (WEB / "src" / "metric-element.ts").read_text("utf-8")
    lists = re.findall(r"const OF_\w+ = \[(.*?)\];", source, re.DOTALL)
    names = {name for found in lists for name in re.findall(r'"([\w-]+)"', found)}

    assert {name for name in names if f"`{name}`" not in DOC} == set()


def test_urls_of_the_examples_are_one(server: Running) -> None:
    """
    All examples name the same server, so that a reader has one name to replace.
    """
    hosts = {urlsplit(address).netloc for address in re.findall(r"https://metrics[\w./-]+", DOC)}

    assert hosts == {"metrics.example.com"}
    assert server.client.get("/assets/metriclake.js").status_code == 200
