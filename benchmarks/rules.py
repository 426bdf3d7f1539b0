"""
Measure how many events a second one thread matches against rules, JSON text in.

The classes are those of event-ruler's README: five rules of one operator, over events like its city lots, some 900
bytes each; then 1 to 10,000 rules of three exact values, and all the classes together. Beside them, what an event costs
without any rule: decoding all of it, and skipping it. `to_beat` is event-ruler 2.0.1 on the JVM, JSON text in, one
thread of a machine of this class. The best of several rounds: other work on the machine only ever adds.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import msgspec

from metriclake.rules import Pattern, Rule, RuleSet, Transform

ROUNDS = 15
TO_BEAT = {
    "exact": 199_000, "prefix": 293_000, "suffix": 337_000, "equals-ignore-case": 302_000, "wildcard": 73_000,
    "numeric": 241_000, "anything-but": 184_000, "1000 exact rules": 216_000, "10000 exact rules": 125_000,
    "mix": 44_000,
}  # fmt: skip
"""Events a second; for complex arrays there is no figure of this kind."""

_STREETS = (
    "ACACIA", "ASHBURY", "BEACH", "CASTRO", "CHESTNUT", "FILLMORE", "FULTON", "GEARY", "HYDE", "MASON", "MISSION",
    "NORIEGA", "POLK", "TARAVAL", "UNKNOWN", "VALENCIA",
)  # fmt: skip
_KINDS = ("ST", "AVE", "BLVD", "WAY", "CT")
_NOTHING = Transform.compile({}, {})


def lots(number: int, seed: int = 1) -> list[bytes]:
    """
    Return the texts of so many made-up city lots.
    """
    random = Random(seed)  # noqa: S311 - made-up data, the same each run
    return [msgspec.json.encode(lot(random)) for _ in range(number)]


def lot(random: Random) -> dict[str, Any]:
    """
    Return a made-up city lot: texts, a first point, and a ring of points.
    """
    block, number, street = random.randrange(7000), random.randrange(300), random.randrange(2000)
    x, y = -122.5 + random.random() / 8, 37.7 + random.random() / 8
    ring = [
        {"x": x + random.random() / 500, "y": y + random.random() / 500, "z": 0.0}
        for _ in range(random.choice((9, 10, 11, 12)))
    ]
    return {
        "type": "Feature",
        "properties": {
            "parcel": f"{block:04}{number:03}",
            "block": f"{block:04}",
            "number": f"{number:03}",
            "from": str(street),
            "to": str(street + random.choice((0, 2, 10))),
            "street": random.choice(_STREETS),
            "kind": random.choice((*_KINDS, None)),
            "side": random.choice("EO"),
        },
        "geometry": {
            "type": "Polygon" if random.random() < 0.999 else "MultiPolygon",
            "first": ring[0],
            "ring": [*ring, ring[0]],
        },
    }


def classes() -> dict[str, list[dict[str, Any]]]:
    """
    Return five patterns of each operator; some select nearly nothing, some half of the events.
    """
    properties: Callable[[str, Any], dict[str, Any]] = lambda key, value: {"properties": {key: [value]}}  # noqa: E731
    return {
        "exact": [
            properties("parcel", "1430022"), properties("parcel", "2607117"), properties("block", "1507"),
            properties("parcel", "6400045"), properties("street", "CASTRO"),
        ],
        "prefix": [
            properties("street", {"prefix": "AC"}), properties("street", {"prefix": "FU"}),
            properties("parcel", {"prefix": "143"}), properties("parcel", {"prefix": "26"}),
            properties("kind", {"prefix": "BL"}),
        ],
        "suffix": [
            properties("street", {"suffix": "ON"}), properties("street", {"suffix": "KE"}),
            properties("parcel", {"suffix": "041"}), properties("parcel", {"suffix": "17"}),
            properties("kind", {"suffix": "ST"}),
        ],
        "equals-ignore-case": [
            properties("street", {"equals-ignore-case": "acacia"}),
            properties("street", {"equals-ignore-case": "bEaCh"}), properties("street", {"equals-ignore-case": "HyDe"}),
            properties("kind", {"equals-ignore-case": "blvd"}), properties("kind", {"equals-ignore-case": "st"}),
        ],
        "wildcard": [
            properties("parcel", {"wildcard": "143*"}), properties("parcel", {"wildcard": "2*0*1*7"}),
            properties("parcel", {"wildcard": "*218"}), properties("street", {"wildcard": "*N*"}),
            properties("street", {"wildcard": "F*L*N"}),
        ],
        "numeric": [
            {"geometry": {"type": ["Polygon"], "first": {"x": [{"numeric": ["=", -122.42916360922355]}]}}},
            {"geometry": {"type": ["MultiPolygon"], "first": {"z": [{"numeric": ["=", 0]}]}}},
            {"geometry": {"first": {"x": [{"numeric": ["<", -122.43]}]}}},
            {"geometry": {"first": {"x": [{"numeric": [">", -122.43]}]}}},
            {"geometry": {"first": {"x": [{"numeric": [">", -122.46, "<", -122.41]}]}}},
        ],
        "anything-but": [
            properties("street", {"anything-but": ["FULTON"]}), properties("street", {"anything-but": ["MASON"]}),
            properties("kind", {"anything-but": ["ST"]}), {"geometry": {"type": [{"anything-but": ["Polygon"]}]}},
            properties("from", {"anything-but": ["441"]}),
        ],
        "complex arrays": [
            {"geometry": {"type": ["Polygon"], "ring": {"x": [{"numeric": ["=", -122.42916360922355]}]}}},
            {"geometry": {"type": ["MultiPolygon"], "ring": {"y": [{"numeric": ["=", 37.729900216217324]}]}}},
            {"geometry": {"ring": {"x": [{"numeric": ["<", -122.43]}]}}},
            {"geometry": {"ring": {"x": [{"numeric": [">", -122.43]}]}}},
            {"geometry": {"ring": {"x": [{"numeric": [">", -122.46, "<", -122.41]}], "z": [0]}}},
        ],
    }  # fmt: skip


def exact_rules(number: int) -> list[dict[str, Any]]:
    """
    Return so many patterns of three exact values; a lot matches few of them.
    """
    random = Random(number)  # noqa: S311 - made-up data, the same each run
    return [
        {
            "properties": {"parcel": [f"{random.randrange(7000):04}{random.randrange(300):03}"], "side": ["E"]},
            "geometry": {"type": ["Polygon"]},
        }
        for _ in range(number)
    ]


def rule_set(patterns: list[dict[str, Any]]) -> RuleSet:
    """
    Return the rules of these patterns, on one bus.
    """
    return RuleSet(
        Rule(str(number), "default", Pattern.compile(pattern), _NOTHING) for number, pattern in enumerate(patterns)
    )


def seconds(work: Callable[[bytes], object], texts: list[bytes]) -> float:
    """
    Return the least time in seconds that the work took for all texts.
    """
    best = float("inf")
    for _ in range(ROUNDS):
        start = time.perf_counter()
        for text in texts:
            work(text)
        best = min(best, time.perf_counter() - start)
    return best


def measure(texts: list[bytes]) -> dict[str, Any]:
    """
    Return all figures.
    """
    floor = {
        "decode all of it": msgspec.json.Decoder().decode,
        "skip all of it": msgspec.json.Decoder(msgspec.defstruct("Skip", [("none", int, 0)])).decode,
    }
    figures: dict[str, Any] = {
        name: {"microseconds": round(1e6 * seconds(work, texts) / len(texts), 2)} for name, work in floor.items()
    }
    sets = classes()
    mix = [pattern for patterns in sets.values() for pattern in patterns]
    sets |= {f"{number} exact rules": exact_rules(number) for number in (1, 100, 1000, 10_000)}
    for name, patterns in {**sets, "mix": mix}.items():
        rules = rule_set(patterns)
        matched = sum(len(rules.matching_json(text)) for text in texts)
        taken = seconds(rules.matching_json, texts)
        decoded = [msgspec.json.decode(text) for text in texts]
        taken_decoded = seconds(rules.matching, decoded)  # type: ignore[arg-type] # events instead of texts
        figures[name] = {
            "events_per_second": round(len(texts) / taken),
            "to_beat": TO_BEAT.get(name),
            "microseconds": round(1e6 * taken / len(texts), 2),
            "microseconds_decoded": round(1e6 * taken_decoded / len(texts), 2),
            "rules": len(patterns),
            "matches_per_event": round(matched / len(texts), 3),
        }
    return figures


def main() -> None:
    """
    Print the figures, and write them down.
    """
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=5000)
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/rules.json"))
    given = parser.parse_args()
    texts = lots(given.events)
    print(f"{len(texts)} events of {sum(map(len, texts)) / len(texts):.0f} bytes")
    figures = measure(texts)
    given.out.parent.mkdir(parents=True, exist_ok=True)
    given.out.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
    for name, figure in figures.items():
        print(f"{name:20} {json.dumps(figure)}")


if __name__ == "__main__":
    main()
