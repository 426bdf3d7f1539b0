"""
The stream while the tenants' directory is away and when it comes back: the real journal, the real lake.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

from contracts.journal import put
from metriclake.books import STORE, Account
from metriclake.journal import SqliteJournal
from metriclake.stream import CachedDirectory, CacheTerms, Lake, Limits, NoDirectory, Plan, StreamWorker
from metriclake.stream.directory import Attributes
from metriclake.stream.sources import HttpSource
from patience import until
from stream.crm import Crm
from stream.plans import event, events, plan
from stream.test_worker import below, ids

EACH = Limits(600, 1)


class Switched(NoDirectory):
    """
    A directory that says nothing of the tenants in `silent`.
    """

    def __init__(self, *silent: str) -> None:
        """
        `silent` are the tenants of whom nothing can be said at first.
        """
        self.silent = set(silent)

    def resolve(self, tenants: Iterable[str]) -> dict[str, Attributes | None]:
        """
        Return the name of each of the others; `nobody` is unknown.
        """
        return {
            tenant: None if tenant == "nobody" else {"name": tenant.upper()}
            for tenant in tenants
            if tenant not in self.silent
        }


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    """
    Open a fresh lake.
    """
    return Lake(tmp_path / "lake")


@pytest.fixture
def workers(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[StreamWorker]]:
    """
    Return a list of workers that are stopped in the end, and that look often for what they may free.
    """
    monkeypatch.setattr("metriclake.stream.worker._FREE_SECONDS", 0.02)
    monkeypatch.setattr("metriclake.stream.worker._IDLE_SECONDS", 0.02)
    started: list[StreamWorker] = []
    yield started
    for worker in started:
        worker.stop()


def run(
    workers: list[StreamWorker], journal: SqliteJournal, lake: Lake, directory: NoDirectory | CachedDirectory,
    used: Plan | None = None,
) -> StreamWorker:  # fmt: skip
    """
    Start a worker that closes a batch with each entry.
    """
    chosen = used or plan(wait=True)
    worker = StreamWorker(journal, lake, directory, lambda _version: chosen, lambda: EACH)
    worker.start()
    workers.append(worker)
    return worker


def send(journal: SqliteJournal, tenant: str, *numbers: str) -> None:
    """
    Append an event of a tenant for each number, each an entry of its own.
    """
    for number in numbers:
        put(journal, events(event(number, {"tenant_id": tenant})))


def account(journal: SqliteJournal, tenant: str) -> Account:
    """
    Return the books' row of a tenant; the books balance.
    """
    books = journal.books(STORE)
    assert books.balanced
    return next((one for one in books.accounts if one.tenant == tenant), Account(tenant, "uploads"))


def test_held_while_away_and_on_when_back(
    journal: SqliteJournal, lake: Lake, workers: list[StreamWorker]
) -> None:  # fmt: skip
    """
    A tenant of whom nothing can be said is held aside, others go on; later he flows on, enriched, in his order.
    """
    directory = Switched("acme")
    run(workers, journal, lake, directory)
    send(journal, "acme", "1", "2")
    send(journal, "globex", "3")
    until(lambda: account(journal, "acme").held == 2 and account(journal, "globex").laked == 1)
    assert ids(below(lake, "Data")) == ["3"]
    assert journal.books(STORE).domain_events.archived == 3

    directory.silent.clear()
    until(lambda: account(journal, "acme").laked == 2)
    send(journal, "acme", "4")
    until(lambda: account(journal, "acme").laked == 3)

    assert [one["metadata"].get("tenant_name") for one in below(lake, "Data")] == ["GLOBEX", "ACME", "ACME", "ACME"]
    assert ids(below(lake, "Data")) == ["3", "1", "2", "4"]
    assert (account(journal, "acme").held, journal.backlog) == (0, 0)


def test_no_one_overtakes_what_is_held(
    journal: SqliteJournal, lake: Lake, workers: list[StreamWorker]
) -> None:  # fmt: skip
    """
    However the directory flickers under load, a tenant's metric events come into the lake in order, each once.
    """
    directory = Switched()
    run(workers, journal, lake, directory)
    for number in range(120):
        directory.silent = {"acme"} if number % 7 < 4 else set()
        send(journal, "acme", f"{number:03d}")
        account(journal, "acme")
    directory.silent = set()
    until(lambda: account(journal, "acme").laked == 120)

    assert [f"{number:03d}" for number in range(120)] == ids(below(lake, "Data"))
    assert len(below(lake, "Archive")) == 120


def test_unknown_tenant_is_refused_after_waiting(
    journal: SqliteJournal, lake: Lake, workers: list[StreamWorker]
) -> None:  # fmt: skip
    """
    A tenant that turns out to be unknown is refused where told so, from where he was held.
    """
    directory = Switched("nobody")
    run(workers, journal, lake, directory, plan(wait=True, accept_unknown=False))
    send(journal, "nobody", "1")
    until(lambda: account(journal, "nobody").held == 1)
    directory.silent.clear()
    until(lambda: account(journal, "nobody").rejected == 1)

    assert [one["errorCode"] for one in below(lake, "Error")] == ["Metriclake.UnknownTenant"]
    assert (account(journal, "nobody").held, account(journal, "nobody").laked) == (0, 0)


def test_what_is_held_survives_the_worker(journal: SqliteJournal, lake: Lake, workers: list[StreamWorker]) -> None:
    """
    A worker that stops leaves what is held where it is; the next one goes on with it.
    """
    run(workers, journal, lake, Switched("acme"))
    send(journal, "acme", "1")
    until(lambda: account(journal, "acme").held == 1)
    workers.pop().stop()
    assert account(journal, "acme").held == 1

    run(workers, journal, lake, Switched())
    until(lambda: account(journal, "acme").laked == 1)


def test_changed_to_pass_lets_everyone_go(journal: SqliteJournal, lake: Lake, workers: list[StreamWorker]) -> None:
    """
    Where the pipeline file says `pass` again, what was held goes on without attributes, although nothing can be said.
    """
    run(workers, journal, lake, Switched("acme"))
    send(journal, "acme", "1")
    until(lambda: account(journal, "acme").held == 1)
    workers.pop().stop()
    run(workers, journal, lake, Switched("acme"), plan(accept_unknown=False))
    until(lambda: account(journal, "acme").laked == 1)

    assert "tenant_name" not in below(lake, "Data")[0]["metadata"]


def test_second_try_holds_and_frees_the_same(journal: SqliteJournal, lake: Lake, workers: list[StreamWorker]) -> None:
    """
    What a first try has pinned is what the second does, although the directory says otherwise by then.
    """
    in_the_way = lake.root / "Archive"
    in_the_way.write_text("a file where a folder must be")
    directory = Switched("acme")
    worker = run(workers, journal, lake, directory)
    send(journal, "acme", "1")
    until(lambda: worker.failure)
    directory.silent = {"globex"}
    in_the_way.unlink()
    until(lambda: account(journal, "acme").laked == 1)

    found = [lake.get(one.manifest) for one in journal.announcements(0, 10)]
    assert b'"freed":[["acme","uploads",1]]' in found[0], "it was held first, as pinned, and freed by a seal of its own"
    assert ids(below(lake, "Data")) == ["1"]


def test_concurrent_workers_free_everything_once(
    journal: SqliteJournal, lake: Lake, workers: list[StreamWorker]
) -> None:  # fmt: skip
    """
    Two workers on one partition get in each other's way, and still what was held goes on once.
    """
    directory = Switched("acme", "globex")
    for _ in range(2):
        run(workers, journal, lake, directory)
    for number in range(20):
        send(journal, ("acme", "globex")[number % 2], str(number))
        if number == 12:
            directory.silent.clear()
    until(lambda: account(journal, "acme").laked == 10 and account(journal, "globex").laked == 10)

    assert Counter(str(number) for number in range(20)) == Counter(ids(below(lake, "Data")))


def test_many_tenants_are_freed_in_turns(
    journal: SqliteJournal, lake: Lake, workers: list[StreamWorker], monkeypatch: pytest.MonkeyPatch
) -> None:
    """
    With more tenants than are looked at for one seal, those for whom the directory stays silent hold up nobody.
    """
    monkeypatch.setattr("metriclake.stream.worker._MOST_FREED", 3)
    names = [f"t{number:02d}" for number in range(12)]
    directory = Switched(*names)
    run(workers, journal, lake, directory)
    for name in names:
        send(journal, name, name)
    until(lambda: len(journal.held_tenants(0)) == 12)
    directory.silent = set(names[:5])
    until(lambda: len(journal.held_tenants(0)) == 5)
    directory.silent = set()
    until(lambda: journal.books(STORE).balanced and sum(one.laked for one in journal.books(STORE).accounts) == 12)

    assert not journal.held_tenants(0)
    assert sorted(ids(below(lake, "Data"))) == names


def test_over_http_down_and_back(journal: SqliteJournal, lake: Lake, workers: list[StreamWorker]) -> None:
    """
    With a real server that fails, hangs up, goes away and comes back, the books balance at every step.
    """
    with Crm({f"t{number}": {"name": f"T{number}"} for number in range(10)}) as crm:
        source = HttpSource(f"{crm.url}/tenants/{{tenant_id}}")
        directory = CachedDirectory(source, CacheTerms(300, 30, 1000), 0.5)
        run(workers, journal, lake, directory)
        modes = ["answer", "500", "drop", "slow", "garbage"]
        for number in range(10):
            crm.mode = modes[number % len(modes)]
            send(journal, f"t{number}", f"{number}")
            account(journal, f"t{number}")
        crm.away()
        send(journal, "t1", "late")
        until(lambda: account(journal, "t1").held == 2)
        crm.mode = "answer"
        crm.back()
        until(lambda: sum(one.laked for one in journal.books(STORE).accounts) == 11)
        workers.pop().stop()
        directory.close()

    found = below(lake, "Data")
    assert sorted(ids(found)) == sorted([*map(str, range(10)), "late"])
    assert all(one["metadata"]["tenant_name"] == one["metadata"]["tenant_id"].upper() for one in found)
