"""
Keys and tokens: what is missing, forged, expired or too long-lived is refused.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import jwt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from metriclake._config import Environment
from metriclake._errors import InvalidToken, MetriclakeError
from metriclake.tokens import (
    IngestKeys,
    Keys,
    TenantClaims,
    check_bearer,
    check_github_signature,
    ingest_key,
    load_keys,
    mint_tenant,
    sign_github,
    verify_tenant,
)

NOW = datetime(2026, 1, 31, 12, 0, tzinfo=UTC)
AT = int(NOW.timestamp())
KEY = "k" * 40
UNSET = Environment(None, None, None, None, None, {})
FORGED: tuple[tuple[str, dict[str, Any]], ...] = (
    ("expired", {"exp": AT}),
    ("expired", {"exp": AT - 1}),
    ("longer than 24 h", {"exp": AT + 86_400 + 31}),
    ("longer than 24 h", {"exp": 10**11}),
    ("`exp`", {"exp": "soon"}),
    ("`exp`", {"exp": True}),
    ("`exp`", {"exp": 10**30}),
    ("`exp`", {"exp": None}),
    ("not valid yet", {"nbf": AT + 31}),
    ("not valid yet", {"nbf": 10**30}),
    ("`nbf`", {"nbf": "later"}),
    ("`tenant_id`", {"tenant_id": None}),
    ("`tenant_id`", {"tenant_id": ""}),
    ("`tenant_id`", {"tenant_id": 42}),
    ("`tenant_id`", {"tenant_id": "a/../b"}),
    ("`tenant_id`", {"tenant_id": "(none)"}),
    ("`tenant_id`", {"tenant_id": ["acme"]}),
    ("`metrics`", {"metrics": "a,b"}),
    ("`metrics`", {"metrics": [1]}),
    ("`dashboards`", {"dashboards": {"a": 1}}),
    ("`origin`", {"origin": ["x"]}),
)


def signed(key: str = KEY, algorithm: str = "HS256", **claims: Any) -> str:
    """
    Return an `Authorization` header with a token of these claims.
    """
    content = {"tenant_id": "acme", "exp": AT + 60, **claims}
    return "Bearer " + jwt.encode(content, key, algorithm=algorithm)


def test_minted_token_is_verified() -> None:
    """
    A token allows what it was minted for.
    """
    token = mint_tenant(KEY, "acme", now=NOW, ttl=timedelta(hours=1), metrics=("a", "b"), origin="app.example")

    assert verify_tenant(f"Bearer {token}", KEY, now=NOW) == TenantClaims(
        "acme", NOW + timedelta(hours=1), frozenset({"a", "b"}), None, "app.example"
    )


def test_token_ends_when_it_says() -> None:
    """
    A token is good until the second of its end, and not in it.
    """
    header = f"Bearer {mint_tenant(KEY, 'acme', now=NOW)}"

    assert verify_tenant(header, KEY, now=NOW + timedelta(minutes=15, seconds=-1)).tenant_id == "acme"
    with pytest.raises(InvalidToken, match="expired"):
        verify_tenant(header, KEY, now=NOW + timedelta(minutes=15))


def test_empty_allow_list_allows_nothing() -> None:
    """
    A token for no metrics is not one for all.
    """
    assert verify_tenant(signed(metrics=[]), KEY, now=NOW).metrics == frozenset()
    assert verify_tenant(signed(), KEY, now=NOW).metrics is None


@pytest.mark.parametrize(("said", "claims"), FORGED)
def test_doubtful_claims_are_refused(said: str, claims: dict[str, Any]) -> None:
    """
    Every claim that is not as it must be is refused by its name, and never ignored.
    """
    with pytest.raises(InvalidToken, match=said):
        verify_tenant(signed(**claims), KEY, now=NOW)


@pytest.mark.parametrize("missing", ["exp", "tenant_id"])
def test_required_claims(missing: str) -> None:
    """
    A token without an end or without a tenant is none.
    """
    claims = {name: value for name, value in {"tenant_id": "acme", "exp": AT + 60}.items() if name != missing}
    token = jwt.encode(claims, KEY, algorithm="HS256")

    with pytest.raises(InvalidToken, match=f"no .*`{missing}`"):
        verify_tenant(f"Bearer {token}", KEY, now=NOW)


def forged() -> Iterator[str]:
    """
    Yield headers whose token this server's key has not signed with the one algorithm.
    """
    good = signed()
    head, body, signature = good.split(".")
    yield signed(key="x" * 40)
    yield signed(key=KEY * 2, algorithm="HS512")
    yield "Bearer " + jwt.encode({"tenant_id": "acme", "exp": AT + 60}, "", algorithm="none")
    yield f"{head}.{body}."
    yield f"{head}.{body[:-2]}xx.{signature}"
    yield f"{head}.{body}"
    yield "Bearer a.b.c"
    yield "Bearer é.é.é"


@pytest.mark.parametrize("header", [*forged(), None, "", "Bearer", "Bearer  ", "Basic x", KEY])
def test_forged_tokens_are_refused(header: str | None) -> None:
    """
    Another key, another algorithm, none, a changed body, no token: all refused.
    """
    with pytest.raises(InvalidToken):
        verify_tenant(header, KEY, now=NOW)


@pytest.mark.parametrize("tenant", ["", "a/b", "..", "a b", "a" * 129, "(none)"])
def test_no_token_for_what_is_no_tenant(tenant: str) -> None:
    """
    Nothing is minted for a text that cannot name a tenant.
    """
    with pytest.raises(InvalidToken, match="not a tenant id"):
        mint_tenant(KEY, tenant, now=NOW)


@pytest.mark.parametrize("ttl", [timedelta(0), timedelta(seconds=-1), timedelta(hours=24, seconds=1)])
def test_no_token_without_a_near_end(ttl: timedelta) -> None:
    """
    A token lives at most 24 hours, and not for nothing.
    """
    with pytest.raises(InvalidToken, match="at most 24 h"):
        mint_tenant(KEY, "acme", now=NOW, ttl=ttl)


@given(st.text(max_size=30))
def test_only_the_key_is_the_key(given_key: str) -> None:
    """
    A bearer header is good with the key and with nothing else.
    """
    check_bearer(f"Bearer {KEY}", KEY, "ingest key")
    check_bearer(f"bearer {KEY}", KEY, "ingest key")

    with pytest.raises(InvalidToken, match="ingest key"):
        check_bearer(f"Bearer {given_key}", KEY, "ingest key")


@given(st.binary(), st.text(min_size=1, max_size=20), st.text(min_size=1, max_size=20))
def test_github_signature_fits_its_body_and_secret(body: bytes, secret: str, other: str) -> None:
    """
    A signature is good for the body and the secret that it was made with.
    """
    check_github_signature(sign_github(body, secret), body, secret)

    with pytest.raises(InvalidToken):
        check_github_signature(sign_github(body, secret), body + b"x", secret)
    if other != secret:
        with pytest.raises(InvalidToken):
            check_github_signature(sign_github(body, other), body, secret)


def test_github_signature_as_github_documents_it() -> None:
    """
    The value is GitHub's own example.
    """
    signature = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"

    assert sign_github(b"Hello, World!", "It's a Secret to Everybody") == signature


def test_keys_are_made_once(tmp_path: Path) -> None:
    """
    The first start makes four different keys that only the owner reads; later starts find them.
    """
    keys = load_keys(tmp_path / "keys", UNSET)

    assert keys == load_keys(tmp_path / "keys", UNSET)
    assert len({keys.ingest, keys.admin, keys.signing, keys.github}) == 4
    assert {0o600} == {path.stat().st_mode & 0o777 for path in (tmp_path / "keys").iterdir()}
    assert (tmp_path / "keys").stat().st_mode & 0o777 == 0o700


def test_keys_of_the_environment_come_first(tmp_path: Path) -> None:
    """
    What the environment gives is used and not written; the rest is made.
    """
    keys = load_keys(tmp_path, Environment("i" * 32, None, None, "hook", None, {}))

    assert (keys.ingest, keys.github) == ("i" * 32, "hook")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["admin.key", "signing.key"]


@pytest.mark.parametrize(
    "given_keys",
    [
        Environment("short", None, None, None, None, {}),
        Environment(None, "", None, None, None, {}),
        Environment(None, None, "k" * 31, None, None, {}),
        Environment(None, None, None, "", None, {}),
    ],
    ids=["ingest", "admin", "signing", "github"],
)
def test_weak_keys_are_refused(tmp_path: Path, given_keys: Environment) -> None:
    """
    A key that is too short, and a secret that is empty, are refused: with them anyone could sign.
    """
    with pytest.raises(MetriclakeError, match="openssl rand"):
        load_keys(tmp_path, given_keys)


@pytest.mark.parametrize("name", ["ingest", "admin", "signing", "github"])
def test_empty_key_file_is_no_key(tmp_path: Path, name: str) -> None:
    """
    A key file that a crash has left empty is refused by name, and never taken for a key.
    """
    load_keys(tmp_path, UNSET)
    (tmp_path / f"{name}.key").write_bytes(b"")

    with pytest.raises(MetriclakeError, match=rf"{name}\.key"):
        load_keys(tmp_path, UNSET)


def test_keys_do_not_show() -> None:
    """
    Keys have no text of their own that a log could hold.
    """
    assert KEY not in repr(Keys(KEY, KEY, KEY, KEY))


def given_ingest(text: str) -> Environment:
    """
    Return an environment that gives ingest keys.
    """
    return Environment(text, None, None, None, None, {})


def test_named_key_is_made_once_and_for_its_owner_alone(tmp_path: Path) -> None:
    """
    A named ingest key is made where it is not there, with mode 0600, and printed the next time.
    """
    made = ingest_key(tmp_path, UNSET, "importer")

    assert ingest_key(tmp_path, UNSET, "importer") == made
    assert made != load_keys(tmp_path, UNSET).ingest == ingest_key(tmp_path, UNSET, "default")
    assert (tmp_path / "ingest-importer.key").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("name", ["", "A", "a/b", "..", "-a", "a" * 65, "a=b", "a,b"])
def test_key_names_have_a_grammar(tmp_path: Path, name: str) -> None:
    """
    A name that cannot be a file's or the environment's is refused.
    """
    with pytest.raises(MetriclakeError, match="name"):
        ingest_key(tmp_path, UNSET, name)


def test_each_ingest_key_is_known_by_its_name(tmp_path: Path) -> None:
    """
    A bearer of a key is told by the key's name; every other bearer is refused.
    """
    named = ingest_key(tmp_path, UNSET, "importer")
    keys = load_keys(tmp_path, UNSET)

    assert keys.ingest_keys.name_of(f"Bearer {keys.ingest}") == "default"
    assert keys.ingest_keys.name_of(f"Bearer {named}") == "importer"
    for other in (None, "", "Bearer", f"Bearer {keys.admin}", f"Basic {named}", f"Bearer {named}x"):
        with pytest.raises(InvalidToken):
            keys.ingest_keys.name_of(other)


def test_keys_come_and_go_while_the_server_runs(tmp_path: Path) -> None:
    """
    A key file that is made or deleted counts when the folder is looked at again, once a second.
    """
    now = [0.0]
    keys = IngestKeys({"default": KEY}, tmp_path, lambda: now[0])
    with pytest.raises(InvalidToken):
        keys.name_of("Bearer x")
    key = ingest_key(tmp_path, UNSET, "late")
    (tmp_path / "ingest-torn.key").touch()
    with pytest.raises(InvalidToken):
        keys.name_of(f"Bearer {key}")

    now[0] = 1.0
    assert keys.name_of(f"Bearer {key}") == "late"
    (tmp_path / "ingest-torn.key").write_text("t" * 40, encoding="ascii")
    now[0] = 2.0
    assert keys.name_of(f"Bearer {'t' * 40}") == "torn"
    (tmp_path / "ingest-late.key").unlink()
    now[0] = 3.0
    with pytest.raises(InvalidToken):
        keys.name_of(f"Bearer {key}")
    assert keys.name_of(f"Bearer {KEY}") == "default"


@pytest.mark.parametrize(
    ("text", "names", "default"),
    [
        ("k" * 32, ["default"], "k" * 32),
        ("k" * 31 + "=", ["default"], "k" * 31 + "="),
        ("k" * 30 + "==", ["default"], "k" * 30 + "=="),
        (f"{'k' * 32},with,commas", ["default"], f"{'k' * 32},with,commas"),
        (f"one={'1' * 32}", ["one"], "1" * 32),
        (f"one={'1' * 32}, two={'2' * 32}", ["one", "two"], "1" * 32),
        (f"one={'1' * 32},default={'2' * 32}", ["one", "default"], "2" * 32),
        (f"one={'1' * 32},{'2' * 32}", ["one", "default"], "2" * 32),
        (f"one={'1' * 31}=", ["one"], "1" * 31 + "="),
    ],
)
def test_environment_gives_one_key_or_several(tmp_path: Path, text: str, names: list[str], default: str) -> None:
    """
    A bare key is the default one, as before; `name=key` names it. The commands take the default, or the first.
    """
    keys = load_keys(tmp_path, given_ingest(text))

    assert keys.ingest == default
    assert keys.ingest_keys.name_of(f"Bearer {default}") in names
    assert {ingest_key(tmp_path, given_ingest(text), name) for name in names} >= {default}
    assert not list(tmp_path.glob("ingest*"))
    with pytest.raises(MetriclakeError, match="none is named `other`"):
        ingest_key(tmp_path, given_ingest(text), "other")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "shorter than 32"),
        ("k" * 31, "shorter than 32"),
        (f"one={'1' * 32},two=short", "`two`.*shorter than 32"),
        (f"one={'1' * 32},one={'2' * 32}", "`one` stands there twice"),
        (f"one={'1' * 32},two={'1' * 32}", "`two` stands there twice"),
    ],
)
def test_environment_with_unusable_ingest_keys(tmp_path: Path, text: str, said: str) -> None:
    """
    Short keys and names or keys that stand twice are refused, without showing a key.
    """
    with pytest.raises(MetriclakeError, match=said) as refused:
        load_keys(tmp_path, given_ingest(text))

    assert "1111" not in str(refused.value)
