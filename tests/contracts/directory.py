"""
What every source of tenants' attributes promises, asked through the cache, as tests: a subclass says how one is made.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from metriclake.stream import CachedDirectory, CacheTerms
from metriclake.stream.sources import Source

SECRET = "hunter2-hunter2"
TENANTS: dict[str, dict[str, Any] | None] = {
    "acme": {"name": "Acme, Inc. é", "seats": 5, "trial": True, "note": None, "long": "x" * 3000},
    "a+b@c|d=e~f": {"name": "odd"},
    "empty": {},
    **{f"t{number}": {"name": f"T {number}"} for number in range(1200)},
}


class DirectoryContract:
    """
    The behaviour of the seam. `source` makes one that knows `TENANTS`; `fail` and `recover` take it away and back.
    """

    seconds = 20.0

    def source(self, folder: Path) -> Source:
        """
        Make the source under test.
        """
        raise NotImplementedError

    def fail(self) -> None:
        """
        Let the system behind the source fail.
        """
        raise NotImplementedError

    def recover(self) -> None:
        """
        Let it answer again.
        """
        raise NotImplementedError

    @pytest.fixture
    def made(self, tmp_path: Path) -> Iterator[Source]:
        """
        Make a source, and close it in the end.
        """
        source = self.source(tmp_path)
        yield source
        source.close()

    def test_known_and_unknown_tenants(self, made: Source) -> None:
        """
        Attributes are text; null ones and overlong ones are not there; a tenant that is not known is None.
        """
        looked = made.look_up(["acme", "a+b@c|d=e~f", "nobody", "empty"], self.seconds)

        assert (looked.failure, looked.down) == ("", False)
        assert looked.answers == {
            "acme": {"name": "Acme, Inc. é", "seats": "5", "trial": "true"},
            "a+b@c|d=e~f": {"name": "odd"},
            "nobody": None,
            "empty": {},
        }

    def test_many_tenants_in_one_look_up(self, made: Source) -> None:
        """
        However many are asked for, each has its own answer.
        """
        wanted = [f"t{number}" for number in range(1200)]

        assert {name: {"name": f"T {name[1:]}"} for name in wanted} == made.look_up(wanted, self.seconds).answers

    def test_no_tenants(self, made: Source) -> None:
        """
        To ask for nobody is no failure.
        """
        assert made.look_up([], self.seconds).answers == {}

    def test_failure_is_said_without_secrets(self, made: Source) -> None:
        """
        A source that fails answers nothing, does not raise, and says why without any secret; later it answers again.
        """
        self.fail()
        looked = made.look_up(["acme"], self.seconds)
        self.recover()

        assert looked.answers == {}
        assert looked.failure
        assert SECRET not in looked.failure + repr(made)
        assert looked.down
        assert made.look_up(["empty"], self.seconds).answers == {"empty": {}}

    def test_directory_goes_on_with_what_it_has(self, made: Source) -> None:
        """
        While its source is away a directory gives stale values and nothing of others, and its state says so.
        """
        directory = CachedDirectory(made, CacheTerms(ttl=0, unknown_ttl=0, size=10), self.seconds)
        before = directory.resolve(["acme", "nobody"])
        self.fail()
        during = directory.resolve(["acme", "nobody", "empty"])
        state = directory.state()
        self.recover()

        assert before == {"acme": TENANTS_AS_TEXT, "nobody": None}
        assert during == {"acme": TENANTS_AS_TEXT}
        assert (state.source, state.stale_tenants, state.stale_answers) == (made.kind, 1, 1)
        assert state.unavailable_since is not None
        assert state.reason
        assert SECRET not in state.reason


TENANTS_AS_TEXT: Mapping[str, str] = {"name": "Acme, Inc. é", "seats": "5", "trial": "true"}
