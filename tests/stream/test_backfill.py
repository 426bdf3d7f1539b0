"""
What a metric's rule makes of archived events later is what it would have made when they came, and made once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack, closing
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import msgspec
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from metriclake._errors import LakeError, MetriclakeError
from metriclake.books import STORE, Delta
from metriclake.entry import Span, Which, encode_manifest
from metriclake.journal import SqliteJournal
from metriclake.stream import (
    Backfill,
    Lake,
    LakeCheck,
    Limits,
    Load,
    NoDirectory,
    Plan,
    Preview,
    Refusals,
    StreamWorker,
    Surroundings,
    Terms,
    Wanted,
)
from metriclake.stream.backfill import Part, Tally
from metriclake.stream.directory import Attributes
from metriclake.stream.manifests import read_manifest, read_name
from metriclake.tiers import Stay, Tiers
from stream.plans import event, events, plan

HOUR = 3_600_000_000
NOON = 1_769_860_800_000_000
RULE = "00000000000000aa"
OTHER = "00000000000000bb"


def ruled(fingerprint: str = RULE, **changes: Any) -> Plan:
    """
    Return the plan with both rules, and fingerprints of them.
    """
    return replace(plan(2), fingerprints={"uploads": fingerprint, "urgent": OTHER}, **changes)


BATCHES = (
    [event("1"), event("2", {"urgent": True}), event("3", source="other")],
    [event("4", source="other")],
    [event("5", {"size": "x"}), event("6", {"tenant_id": None}), event("7", {"tenant_id": "globex", "size": 7})],
)


def archive(lake: Lake, journal: SqliteJournal, used: Plan, batches: Iterable[list[dict[str, Any]]] = BATCHES) -> None:
    """
    Let the stream make batches, an hour apart, with a plan.
    """
    for number, batch in enumerate(batches):
        journal.append(events(*batch, arrived_at=NOON + number * HOUR)).result(30)
    worker = StreamWorker(journal, lake, NoDirectory(), lambda _version: used, lambda: Limits(600, 1))
    worker.start()
    worker.stop()
    assert worker.failure is None


@dataclass
class Knowing:
    """
    A directory that knows some tenants, and can say nothing of the others.
    """

    known: dict[str, Attributes | None] = field(default_factory=lambda: {"acme": {"name": "Acme"}, "globex": {}})

    def resolve(self, tenants: Iterable[str]) -> dict[str, Attributes | None]:
        """
        Return what is known.
        """
        return {tenant: self.known[tenant] for tenant in tenants if tenant in self.known}


@dataclass
class Shop:
    """
    A lake with archived batches, and what a backfill over it is told.
    """

    lake: Lake
    journal: SqliteJournal
    plan: Plan = field(default_factory=ruled)
    directory: Knowing | NoDirectory = field(default_factory=NoDirectory)
    load: Load = field(default_factory=Load)
    announced: int = 0

    def backfill(self) -> Backfill:
        """
        Return a new backfill, as after a start.
        """
        around = Surroundings(
            lambda: self.plan, self.directory.resolve, lambda: self.load, lambda: frozenset({STORE, "crm"}), self._heard
        )
        return Backfill(self.lake, self.journal, around)

    def _heard(self) -> None:
        self.announced += 1

    def run(self, wanted: Wanted | None = None, enough: Callable[[], bool] = lambda: True) -> Part:
        """
        Go from end to end in slices, and put them together; the store is said to have loaded everything.
        """
        wanted = wanted or Wanted("uploads")
        whole, after, backfill = Part(rule="", tenants=[]), "", self.backfill()
        for _ in range(100):
            part = backfill.slice(wanted, after, enough)
            for name in ("batches", "events", "already", "elsewhere"):
                setattr(whole, name, getattr(whole, name) + getattr(part, name))
            whole.tenants += part.tenants
            after, wanted = part.next, replace(wanted, rule=part.rule, number=part.number)
            if after == "loading":
                self.loaded()
            if not after:
                return whole
        message = f"the backfill does not end: it waits for {part.waits_for}"
        raise TimeoutError(message)

    def loaded(self) -> None:
        """
        Move the store's checkpoint past all that is announced, and count it as stored.
        """
        done = self.journal.checkpoint(STORE).number
        for one in self.journal.announcements(done, 1000):
            stored = [Delta(STORE, *key, "stored", amount) for key, amount in one.counts.items()]
            self.journal.advance(STORE, one, stored)

    def data(self, *, backfilled: bool) -> dict[int, bytes]:
        """
        Return the metric events of each seal.
        """
        names = {path: read_name(path) for path in self.lake.walk("Data/")}
        return {
            name.seal: self.lake.get(path)
            for path, name in names.items()
            if name is not None and bool(name.backfill) == backfilled
        }

    def books(self) -> dict[str, tuple[int, int, int]]:
        """
        Return received, rejected and laked of each tenant's uploads.
        """
        accounts = self.journal.books(STORE).accounts
        return {one.tenant: (one.received, one.rejected, one.laked) for one in accounts if one.metric == "uploads"}


def without(*metrics: str) -> Plan:
    """
    Return the plan as it was before some metrics were added.
    """
    old = plan(1)
    rules = type(old.rules)(rule for rule in old.rules.rules if rule.name not in metrics)
    return replace(old, rules=rules)


@pytest.fixture
def shop(tmp_path: Path, journal: SqliteJournal) -> Shop:
    """
    Archive the batches while nobody asked for uploads.
    """
    lake = Lake(tmp_path / "lake")
    archive(lake, journal, without("uploads"))
    return Shop(lake, journal)


def by_tenant(tallies: Iterable[Tally]) -> dict[str, tuple[int, int, Mapping[str, int]]]:
    """
    Return received, laked and refused of each tenant, over several slices.
    """
    found: dict[str, tuple[int, int, dict[str, int]]] = {}
    for one in tallies:
        received, laked, refused = found.get(one.tenant, (0, 0, {}))
        found[one.tenant] = (received + one.received, laked + one.laked, {**refused, **one.refused})
    return {**found}


MADE = {
    "acme": (3, 2, {"type-mismatch": 1}),
    "globex": (1, 1, {}),
    "(none)": (1, 0, {"missing-tenant": 1}),
}


EVENTS = st.builds(
    event,
    st.sampled_from("abcdefgh"),
    st.fixed_dictionaries(
        {"urgent": st.booleans(), "size": st.sampled_from([1, 2.5, "x", None])},
        optional={"tenant_id": st.sampled_from(["acme", "globex", "a/b", None])},
    ),
    st.sampled_from(["findings", "findings", "other"]),
)


@settings(max_examples=6)
@example([list(batch) for batch in BATCHES])
@given(st.lists(st.lists(EVENTS, min_size=1, max_size=5), min_size=1, max_size=3))
def test_it_makes_what_the_rule_would_have_made(batches: list[list[dict[str, Any]]]) -> None:
    """
    Whatever was archived: batch for batch the objects hold the lines that the live rule makes, and so say the books.
    """
    with TemporaryDirectory() as folder, ExitStack() as opened:
        shops = []
        for name, metric in (("later", "uploads"), ("live", "urgent")):
            journal = opened.enter_context(closing(SqliteJournal(Path(folder, f"{name}.db"), 1024 * 1024)))
            shops.append(Shop(Lake(Path(folder, name)), journal))
            archive(shops[-1].lake, journal, without(metric), batches)
        later, live = shops
        later.run()

        assert later.data(backfilled=True) == live.data(backfilled=False)
        assert later.books() == live.books()
        assert later.journal.books(STORE).domain_events.balanced


def test_it_says_what_became_of_each_tenants_events(shop: Shop) -> None:
    """
    Received, laked and refused by tenant, over all slices; the store is told of each object.
    """
    done = shop.run()

    assert by_tenant(done.tenants) == MADE
    assert shop.books() == {"acme": (3, 1, 2), "globex": (1, 0, 1), "(none)": (1, 1, 0)}
    assert (done.batches, done.events, done.already, shop.announced) == (3, 7, 0, 2)
    assert shop.journal.books(STORE).domain_events.archived == 7


def test_dry_run_says_it_and_writes_nothing(shop: Shop) -> None:
    """
    The same numbers come out, and neither lake nor journal has changed.
    """
    before = list(shop.lake.walk(""))
    told = shop.run(Wanted("uploads", dry_run=True))

    assert by_tenant(told.tenants) == MADE
    assert (told.batches, shop.announced, shop.books()) == (3, 0, {})
    assert list(shop.lake.walk("")) == before
    assert all(shop.journal.backfilling(path) is None for path in before)


def test_second_run_makes_nothing(shop: Shop) -> None:
    """
    What is done is left alone, also what the rule made nothing of; another rule's is not done yet.
    """
    shop.run()
    before = (list(shop.lake.walk("")), shop.books())
    again = shop.run()

    assert (again.batches, again.already, again.tenants) == (0, 3, [])
    assert (list(shop.lake.walk("")), shop.books()) == before
    urgent = shop.run(Wanted("urgent"))
    assert (urgent.already, by_tenant(urgent.tenants)) == (0, {"acme": (1, 1, {})})


def test_changed_rule_is_run_anew(shop: Shop) -> None:
    """
    By another fingerprint everything is made again, under other names; in the middle of a run it is refused.
    """
    shop.run()
    shop.plan = ruled(OTHER)
    with pytest.raises(MetriclakeError, match="has changed since"):
        shop.backfill().slice(Wanted("uploads", rule=RULE), "", lambda: True)

    assert (shop.run().batches, shop.books()["acme"]) == (3, (6, 2, 4))


def test_what_backfills_made_is_no_archive(shop: Shop) -> None:
    """
    A preview and a further backfill read the batches alone; the lake's check finds everything named.
    """
    shop.run()
    shop.run(Wanted("urgent"))
    previewed = Preview(shop.lake, lambda: shop.plan, lambda _text: plan(3)).slice("uploads", "", Span(), "", bool)

    check = LakeCheck(shop.lake, shop.journal)
    passes = [check.slice(Span(), f"{phase}:", bool) for phase in ("manifests", "announcements", "objects")]

    assert previewed.events == 7
    assert [part.findings for part in passes] == [[], [], []]
    assert passes[0].manifests == 3 + 2 + 1


def test_names_say_what_made_an_object(shop: Shop) -> None:
    """
    Each object and manifest of a backfill is read by its name: the batch's seal, the rule, its manifest.
    """
    shop.run()
    for path in shop.lake.walk(""):
        name = read_name(path)
        assert name is not None
        made = read_manifest(shop.lake, name.manifest).backfill
        assert name.backfill == ("" if made is None else made.rule)
    assert len([path for path in shop.lake.walk("Manifest/") if RULE in path]) == 2


def test_refused_records_are_listed_and_retried(shop: Shop) -> None:
    """
    What a backfill refuses stands beside what the stream refused, and is sent again once.
    """
    shop.run()
    refusals = Refusals(shop.lake, shop.journal)
    groups = {(one.reason, one.tenant): one.records for one in refusals.groups(Which(), "", bool).groups}
    sent = [refusals.retry(Which("type-mismatch"), "", Terms(), bool).sent for _ in range(2)]

    assert groups == {("type-mismatch", "acme"): 1, ("missing-tenant", "(none)"): 1}
    assert sent == [1, 0]


def test_only_a_span_is_run(shop: Shop) -> None:
    """
    Batches that arrived outside the span are left out, and made when they are asked for.
    """
    assert shop.run(Wanted("uploads", Span(NOON + HOUR, None))).batches == 2
    assert (shop.run().already, shop.books()["acme"]) == (2, (3, 1, 2))


def test_directory_is_waited_for_and_its_first_answer_stays(shop: Shop) -> None:
    """
    With `unavailable: wait` nothing is made of a batch until its tenants are known; what is pinned is not asked again.
    """
    directory = Knowing({"acme": {"name": "Acme"}})
    shop.plan, shop.directory = ruled(wait=True), directory
    part = shop.backfill().slice(Wanted("uploads"), "", bool)
    assert (part.batches, part.waits_for, part.pause > 0) == (2, "the tenants' directory", True)
    again = shop.backfill().slice(Wanted("uploads"), part.next, bool)
    assert (again.next, again.batches) == (part.next, 0)
    directory.known["globex"] = {"name": "Globex"}

    assert shop.run().batches == 1
    assert b'"tenant_name":"Globex"' in shop.data(backfilled=True)[3]


def test_unknown_tenants_are_refused(shop: Shop) -> None:
    """
    With `unknown: refuse` the directory's no is a reason, in a dry run too.
    """
    shop.plan, shop.directory = ruled(accept_unknown=False), Knowing({"acme": {}, "globex": None})

    assert by_tenant(shop.run(Wanted("uploads", dry_run=True)).tenants)["globex"] == (1, 0, {"unknown-tenant": 1})
    shop.run()
    assert shop.books()["globex"] == (1, 1, 0)


def test_what_a_dead_run_left_is_taken_up(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    Dying before or after the manifest, with a directory that says something else later: made once, as pinned first.
    """
    shop.directory = directory = Knowing()
    put = Lake.put

    def dying(self: Lake, path: str, *rest: Any) -> bytes:
        kept = put(self, path, *rest)
        if path.startswith("Data/"):
            message = "the process is gone"
            raise LakeError(message)
        return kept

    with monkeypatch.context() as patched:
        patched.setattr(Lake, "put", dying)
        with pytest.raises(LakeError, match="gone"):
            shop.run()
    assert LakeCheck(shop.lake, shop.journal).slice(Span(), "objects:", bool).findings == []
    directory.known["acme"] = {"name": "Renamed"}
    with monkeypatch.context() as patched:
        patched.setattr(SqliteJournal, "announce_backfill", _gone)
        with pytest.raises(MetriclakeError, match="gone"):
            shop.run()
    shop.run()

    assert shop.books()["acme"] == (3, 1, 2)
    assert b"Renamed" not in shop.data(backfilled=True)[1]
    assert b'"tenant_name":"Acme"' in shop.data(backfilled=True)[1]
    assert len(shop.journal.announcements(0, 10)) == 2 + 1  # the live rule's one batch among it


def _gone(*_: object) -> None:
    message = "the process is gone"
    raise MetriclakeError(message)


def test_destinations_are_named(shop: Shop) -> None:
    """
    The store alone, or what is named beside it; a second run with more names says what was not meant for them.
    """
    shop.run(Wanted("urgent"))
    shop.run(Wanted("uploads", destinations=("crm",)))
    meant = [set(one.only) for one in shop.journal.announcements(1, 10)]
    later = shop.run(Wanted("urgent", destinations=("crm",)))

    assert meant == [{STORE}, {STORE, "crm"}, {STORE, "crm"}]
    assert (later.already, later.elsewhere) == (3, 1)
    assert shop.run(Wanted("uploads", destinations=("crm",))).elsewhere == 0
    with pytest.raises(MetriclakeError, match="no destination 'crn': it has crm, store"):
        shop.run(Wanted("uploads", destinations=("crn",)))


def test_misspelt_metric_is_refused(shop: Shop) -> None:
    """
    The error names those that there are.
    """
    with pytest.raises(MetriclakeError, match="no metric 'upload': it has uploads, urgent"):
        shop.run(Wanted("upload"))


def test_it_waits_while_something_lags(shop: Shop) -> None:
    """
    Nothing is done while the stream or the store lags; while events arrive it rests; a dry run waits for no store.
    """
    shop.load = Load(announcements=100)
    part = shop.backfill().slice(Wanted("uploads"), "", bool)
    dry = shop.backfill().slice(Wanted("uploads", dry_run=True), "", bool)
    shop.load = Load(entries=5)
    busy = shop.backfill().slice(Wanted("uploads"), part.next, bool)

    assert (part.batches, part.waits_for[:9], part.pause > 0) == (0, "the store", True)
    assert dry.batches == 3
    assert (busy.batches, busy.pause > 0) == (3, True)


def test_the_end_is_when_the_store_has_it(shop: Shop) -> None:
    """
    The last slices wait for the store's checkpoint.
    """
    backfill = shop.backfill()
    part = backfill.slice(Wanted("uploads"), "", bool)
    waiting = backfill.slice(Wanted("uploads", number=part.number), part.next, bool)
    shop.loaded()
    end = backfill.slice(Wanted("uploads", number=part.number), waiting.next, bool)

    assert (part.next, waiting.next, waiting.waits_for, end.next) == ("loading", "loading", "the store", "")


def test_what_is_beyond_retention_by_now_is_told(shop: Shop) -> None:
    """
    A batch is judged as of its own moment; what has grown too old since is laked, and is the store's to count.
    """
    for path in shop.lake.walk("Manifest/"):
        manifest = msgspec.structs.replace(read_manifest(shop.lake, path), sealed_at=NOON)
        (shop.lake.root / path).write_bytes(encode_manifest(manifest))
    tenants = {"globex": Stay(retention=timedelta(days=9000))}
    week = timedelta(days=7)
    shop.plan = ruled(tiers=Tiers(week, week, tenants=tenants))
    told = {one.tenant: (one.laked, one.beyond) for one in shop.run(enough=bool).tenants}

    assert told == {"acme": (2, 2), "globex": (1, 0), "(none)": (0, 0)}


def test_announcement_is_of_the_moment_it_is_made(shop: Shop) -> None:
    """
    Old arrivals do not make the store look late: an announcement has waited since it was made.
    """
    shop.run()
    (one, *_) = shop.journal.announcements(1, 1)

    assert one.oldest_at > NOON + 100 * HOUR
    assert read_manifest(shop.lake, one.manifest).oldest_at == NOON
    assert msgspec.json.decode(shop.data(backfilled=True)[1].splitlines()[0])["metric_name"] == "uploads"
