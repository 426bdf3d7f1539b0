-- A store of format 1: what the versions made that had one retention for all rows.

CREATE TABLE IF NOT EXISTS metriclake.meta (key String, value String)
ENGINE = ReplacingMergeTree ORDER BY key
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1;

CREATE TABLE IF NOT EXISTS metriclake.metrics (tenant String CODEC(ZSTD(1)),
  metric LowCardinality(String) CODEC(ZSTD(1)), time DateTime64(6, 'UTC') CODEC(Delta, ZSTD(1)),
  event_id String CODEC(ZSTD(1)), object UInt64 CODEC(Delta, ZSTD(1)), version UInt64 CODEC(Delta, ZSTD(1)),
  d0 LowCardinality(String) CODEC(ZSTD(1)), d1 LowCardinality(String) CODEC(ZSTD(1)),
  d2 LowCardinality(String) CODEC(ZSTD(1)), d3 LowCardinality(String) CODEC(ZSTD(1)),
  d4 LowCardinality(String) CODEC(ZSTD(1)), d5 LowCardinality(String) CODEC(ZSTD(1)),
  d6 LowCardinality(String) CODEC(ZSTD(1)), d7 LowCardinality(String) CODEC(ZSTD(1)),
  d8 LowCardinality(String) CODEC(ZSTD(1)), d9 LowCardinality(String) CODEC(ZSTD(1)),
  d10 LowCardinality(String) CODEC(ZSTD(1)), d11 LowCardinality(String) CODEC(ZSTD(1)),
  d12 LowCardinality(String) CODEC(ZSTD(1)), d13 LowCardinality(String) CODEC(ZSTD(1)),
  d14 LowCardinality(String) CODEC(ZSTD(1)), d15 LowCardinality(String) CODEC(ZSTD(1)),
  f0 Nullable(Float64) CODEC(ZSTD(1)), f1 Nullable(Float64) CODEC(ZSTD(1)), f2 Nullable(Float64) CODEC(ZSTD(1)),
  f3 Nullable(Float64) CODEC(ZSTD(1)), f4 Nullable(Float64) CODEC(ZSTD(1)), f5 Nullable(Float64) CODEC(ZSTD(1)),
  f6 Nullable(Float64) CODEC(ZSTD(1)), f7 Nullable(Float64) CODEC(ZSTD(1)), f8 Nullable(Float64) CODEC(ZSTD(1)),
  f9 Nullable(Float64) CODEC(ZSTD(1)), f10 Nullable(Float64) CODEC(ZSTD(1)), f11 Nullable(Float64) CODEC(ZSTD(1)),
  f12 Nullable(Float64) CODEC(ZSTD(1)), f13 Nullable(Float64) CODEC(ZSTD(1)), f14 Nullable(Float64) CODEC(ZSTD(1)),
  f15 Nullable(Float64) CODEC(ZSTD(1)), i0 Nullable(Int64) CODEC(ZSTD(1)), i1 Nullable(Int64) CODEC(ZSTD(1)),
  i2 Nullable(Int64) CODEC(ZSTD(1)), i3 Nullable(Int64) CODEC(ZSTD(1)),
  dimensions Map(LowCardinality(String), String) CODEC(ZSTD(1)),
  doubles Map(LowCardinality(String), Float64) CODEC(ZSTD(1)),
  integers Map(LowCardinality(String), Int64) CODEC(ZSTD(1)),
  strings Map(LowCardinality(String), String) CODEC(ZSTD(1)),
  booleans Map(LowCardinality(String), Bool) CODEC(ZSTD(1)),
  attributes Map(LowCardinality(String), String) CODEC(ZSTD(1)), INDEX objects object TYPE minmax GRANULARITY 1)
ENGINE = MergeTree PARTITION BY toYYYYMM(time) ORDER BY (tenant, metric, time)
TTL toDateTime(time) + toIntervalSecond(1209600) TO VOLUME 'cold',
  toDateTime(time) + toIntervalSecond(31536000) DELETE
SETTINGS storage_policy = 'tiered', fsync_after_insert = 1, fsync_part_directory = 1;

CREATE TABLE IF NOT EXISTS metriclake.slots (metric String, kind LowCardinality(String), name String,
  type LowCardinality(String), slot Int16)
ENGINE = MergeTree ORDER BY (metric, kind, slot)
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1;

CREATE TABLE IF NOT EXISTS metriclake.fields (tenant String, metric LowCardinality(String),
  kind LowCardinality(String), name LowCardinality(String), type LowCardinality(String))
ENGINE = ReplacingMergeTree ORDER BY (tenant, metric, kind, name, type)
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1;

CREATE TABLE IF NOT EXISTS metriclake.activity (tenant String, metric LowCardinality(String),
  first SimpleAggregateFunction(min, DateTime64(6, 'UTC')), last SimpleAggregateFunction(max, DateTime64(6, 'UTC')))
ENGINE = AggregatingMergeTree ORDER BY (tenant, metric)
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1;
