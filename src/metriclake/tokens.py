"""
Mint and verify every key and token.

Keys are made in the data directory on first start, or come from the environment. A tenant token is a JWT whose
algorithm is fixed here and never taken from the token. Whatever is missing, forged, expired or too long-lived is
refused: nothing falls back to a default tenant.
"""

from __future__ import annotations

import hashlib
import hmac
import logging
import math
import os
import re
import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import jwt

from metriclake._config import Environment
from metriclake._errors import InvalidToken, MetriclakeError
from metriclake.event import is_tenant_id

ALGORITHM = "HS256"
MAX_TTL = timedelta(hours=24)
_LEEWAY = timedelta(seconds=30)
_MIN_KEY_CHARACTERS = 32
DEFAULT_KEY = "default"
"""The name of the ingest key that a server always has."""

_NAMED = "ingest-"
_SUFFIX = ".key"
_LOOK_SECONDS = 1.0
_KEY_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,63}")
_NAMED_KEY = re.compile(r"([a-z0-9][a-z0-9-]{0,63})=(?!=*$)(.+)")
_LOG = logging.getLogger(__name__)


class IngestKeys:
    """
    The ingest keys by name. Where they lie in a folder, one that is made or deleted there counts within a second.
    """

    def __init__(
        self, keys: Mapping[str, str], folder: Path | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """
        `keys` are those that stay; `folder` holds others, `clock` tells when to look there again.
        """
        self._fixed = dict(keys)
        self._folder = folder
        self._clock = clock
        self._looked = -math.inf
        self._changed: int | None = None
        self._names: dict[bytes, str] = {}
        self._read({})

    def name_of(self, header: str | None) -> str:
        """
        Return the name of the key that an `Authorization` header bears. Raises InvalidToken for every other.

        Keys are found by their digest: how long that takes says nothing about them.
        """
        if self._folder is not None and self._clock() - self._looked >= _LOOK_SECONDS:
            self._look(self._folder)
        name = self._names.get(_digest(_bearer(header, "ingest key")))
        if name is None:
            raise InvalidToken(
                "this is not the ingest key of this server, nor a named one: see `metriclake token --help`"
            )
        return name

    def _look(self, folder: Path) -> None:
        self._looked = self._clock()
        try:
            changed = folder.stat().st_mtime_ns
            if changed == self._changed:
                return
            found = {path.name[len(_NAMED) : -len(_SUFFIX)]: _read_key(path) for path in _named_files(folder)}
        except OSError as error:
            _LOG.warning("the folder of keys cannot be read", extra={"error": str(error)})
            return
        self._read({name: key for name, key in found.items() if key})
        self._changed = changed if all(found.values()) else None

    def _read(self, found: Mapping[str, str]) -> None:
        self._names = {_digest(key): name for name, key in {**found, **self._fixed}.items()}


@dataclass(frozen=True, slots=True, repr=False)
class Keys:
    """
    The secrets of one server. They have no `repr`: they never reach a log.
    """

    ingest: str
    admin: str
    signing: str
    github: str
    named: IngestKeys | None = field(default=None, compare=False)

    @property
    def ingest_keys(self) -> IngestKeys:
        """
        Return every ingest key by its name; `ingest` is the default one of them.
        """
        return self.named or IngestKeys({DEFAULT_KEY: self.ingest})


@dataclass(frozen=True, slots=True)
class TenantClaims:
    """
    What a verified tenant token allows: one tenant, and where `metrics` is given only these.
    """

    tenant_id: str
    expires: datetime
    metrics: frozenset[str] | None = None
    dashboards: frozenset[str] | None = None
    origin: str | None = None


def load_keys(folder: Path, environment: Environment) -> Keys:
    """
    Return the keys of the environment, and for those not given the ones in `folder`, made where they are not there.
    """
    named = _parse_named(environment.ingest_key)
    given = {
        "ingest": named.get(DEFAULT_KEY, next(iter(named.values()), None)),
        "admin": environment.admin_key,
        "signing": environment.signing_key,
        "github": environment.github_secret,
    }
    for name, key in given.items():
        if key is not None and len(key) < _MIN_KEY_CHARACTERS and name != "github":
            msg = f"the {name} key given by the environment is shorter than {_MIN_KEY_CHARACTERS} characters"
            raise MetriclakeError(f"{msg}: make one with `openssl rand -hex 32`")
    if given["github"] == "":
        raise MetriclakeError(
            "the github secret given by the environment is empty: make one with `openssl rand -hex 32`"
        )
    keys = {name: key if key is not None else _stored(folder, name) for name, key in given.items()}
    ingest = IngestKeys(named) if named else IngestKeys({DEFAULT_KEY: keys["ingest"]}, folder)
    return Keys(**keys, named=ingest)


def ingest_key(folder: Path, environment: Environment, name: str) -> str:
    """
    Return the ingest key of a name, made where it is not there. Raises MetriclakeError where the environment has none.
    """
    if not is_key_name(name):
        raise MetriclakeError("a key's name is 1 to 64 of a-z, 0-9 and -, not starting with -")
    given = _parse_named(environment.ingest_key)
    if given and name not in given:
        raise MetriclakeError(
            f"METRICLAKE_INGEST_KEY gives the ingest keys, and none is named `{name}`: add `,{name}=…` to it"
        )
    return given[name] if given else _stored(folder, "ingest" if name == DEFAULT_KEY else f"ingest-{name}")


def is_key_name(text: str) -> bool:
    """
    Tell whether `text` may name an ingest key.
    """
    return _KEY_NAME.fullmatch(text) is not None


def _parse_named(text: str | None) -> dict[str, str]:
    """
    Return the ingest keys that the environment gives by name; a bare one, of which there may be one, is the default.
    """
    if text is None:
        return {}
    parts = [part.strip() for part in text.split(",")]
    if not any(_NAMED_KEY.fullmatch(part) for part in parts):
        parts = [text]
    found: dict[str, str] = {}
    for part in parts:
        match = _NAMED_KEY.fullmatch(part)
        name, key = (match[1], match[2]) if match else (DEFAULT_KEY, part)
        if name in found or key in found.values():
            raise MetriclakeError(f"METRICLAKE_INGEST_KEY: the name or the key of `{name}` stands there twice")
        if len(key) < _MIN_KEY_CHARACTERS:
            what = "the ingest key" + (f" `{name}`" if match else "")
            raise MetriclakeError(
                f"{what} given by the environment is shorter than {_MIN_KEY_CHARACTERS} characters: make one with"
                " `openssl rand -hex 32`"
            )
        found[name] = key
    return found


def _named_files(folder: Path) -> list[Path]:
    return [path for path in folder.glob(f"{_NAMED}*{_SUFFIX}") if is_key_name(path.name[len(_NAMED) : -len(_SUFFIX)])]


def _read_key(path: Path) -> str:
    """
    Return the key in a file, empty text while it is being written or when it is gone.
    """
    try:
        return path.read_text(encoding="ascii").strip()
    except (FileNotFoundError, UnicodeDecodeError):
        return ""


def _digest(key: str) -> bytes:
    return hashlib.sha256(key.encode()).digest()


def _stored(folder: Path, name: str) -> str:
    path = folder / f"{name}.key"
    try:
        key = path.read_text(encoding="ascii").strip()
    except FileNotFoundError:
        return _create(folder, path, name)
    if not key:
        raise MetriclakeError(f"the key file {path} is empty: delete it, and the next start makes a new one")
    return key


def _create(folder: Path, path: Path, name: str) -> str:
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    key = f"ml_{name}_{secrets.token_urlsafe(32)}"
    descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
    with os.fdopen(descriptor, "w", encoding="ascii") as file:
        file.write(key + "\n")
        file.flush()
        os.fsync(file.fileno())
    for place in (folder, folder.parent):
        _fsync(place)
    return key


def _fsync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def check_bearer(header: str | None, key: str, what: str) -> None:
    """
    Check that an `Authorization` header bears `key`; `what` names the key in the message.
    """
    given = _bearer(header, what)
    if not hmac.compare_digest(given.encode(), key.encode()):
        raise InvalidToken(f"this is not the {what} of this server: see `metriclake token --help`")


def check_github_signature(header: str | None, body: bytes, secret: str) -> None:
    """
    Check GitHub's `X-Hub-Signature-256` over the body as it was sent.
    """
    if not header:
        raise InvalidToken("the header X-Hub-Signature-256 is missing: set the webhook's secret on GitHub")
    if not hmac.compare_digest(header.encode(), sign_github(body, secret).encode()):
        raise InvalidToken("X-Hub-Signature-256 does not fit: the webhook's secret on GitHub is another than here")


def sign_github(body: bytes, secret: str) -> str:
    """
    Return the `X-Hub-Signature-256` of a body.
    """
    return "sha256=" + hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()


def mint_tenant(  # noqa: PLR0913 - the claims that a token may have, each by its name
    key: str,
    tenant_id: str,
    *,
    now: datetime,
    ttl: timedelta = timedelta(minutes=15),
    metrics: tuple[str, ...] | None = None,
    dashboards: tuple[str, ...] | None = None,
    origin: str | None = None,
) -> str:
    """
    Return a token for one tenant that ends `ttl` after `now`, at most 24 hours.
    """
    if not is_tenant_id(tenant_id):
        raise InvalidToken("this is not a tenant id: 1 to 128 of letters, digits and . _ : @ | + = ~ -, without `..`")
    if not timedelta() < ttl <= MAX_TTL:
        raise InvalidToken("a token lives more than 0 s and at most 24 h")
    claims: dict[str, Any] = {"tenant_id": tenant_id, "iat": int(now.timestamp()), "exp": int((now + ttl).timestamp())}
    if metrics is not None:
        claims["metrics"] = list(metrics)
    if dashboards is not None:
        claims["dashboards"] = list(dashboards)
    if origin is not None:
        claims["origin"] = origin
    return jwt.encode(claims, key, algorithm=ALGORITHM)


def verify_tenant(header: str | None, key: str, *, now: datetime) -> TenantClaims:
    """
    Return the claims of the tenant token in an `Authorization` header; raises InvalidToken for every doubt.
    """
    token = _bearer(header, "tenant token")
    options = {"require": ["exp"], "verify_exp": False, "verify_iat": False, "verify_nbf": False, "verify_aud": False}
    try:
        claims = jwt.decode(token, key, algorithms=[ALGORITHM], options=options)  # type: ignore[arg-type] # jwt's TypedDict
    except jwt.MissingRequiredClaimError as error:
        raise InvalidToken("the tenant token has no `exp`: mint tokens that end") from error
    except jwt.PyJWTError as error:
        raise InvalidToken("the tenant token is not signed with this server's signing key") from error
    return _claims(claims, now)


def _claims(claims: dict[str, Any], now: datetime) -> TenantClaims:
    expires = _number(claims, "exp")
    if expires is None:
        raise InvalidToken("the tenant token has no `exp`: mint tokens that end")
    try:
        ends = datetime.fromtimestamp(expires, tz=now.tzinfo)
    except (OverflowError, OSError, ValueError) as error:
        raise InvalidToken("the tenant token's `exp` is not a time") from error
    if ends <= now:
        raise InvalidToken("the tenant token has expired: ask your backend for a new one")
    if ends > now + MAX_TTL + _LEEWAY:
        raise InvalidToken("the tenant token lives longer than 24 h: mint short ones")
    not_before = _number(claims, "nbf")
    if not_before is not None and not_before > (now + _LEEWAY).timestamp():
        raise InvalidToken("the tenant token is not valid yet: compare the clocks")
    tenant_id = claims.get("tenant_id")
    if not isinstance(tenant_id, str) or not is_tenant_id(tenant_id):
        raise InvalidToken("the tenant token has no usable `tenant_id`")
    origin = claims.get("origin")
    if origin is not None and not isinstance(origin, str):
        raise InvalidToken("the tenant token's `origin` is not text")
    return TenantClaims(tenant_id, ends, _names(claims, "metrics"), _names(claims, "dashboards"), origin)


def _number(claims: dict[str, Any], name: str) -> float | None:
    value = claims.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise InvalidToken(f"the tenant token's `{name}` is not a number")
    return value


def _names(claims: dict[str, Any], name: str) -> frozenset[str] | None:
    value = claims.get(name)
    if value is None:
        return None
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise InvalidToken(f"the tenant token's `{name}` is not a list of names")
    return frozenset(value)


def _bearer(header: str | None, what: str) -> str:
    if not header:
        raise InvalidToken(f"the {what} is missing: send it as `Authorization: Bearer …`")
    scheme, _, token = header.partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        raise InvalidToken(f"the {what} must be sent as `Authorization: Bearer …`")
    return token.strip()
