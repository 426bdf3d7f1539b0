"""
Rollups: what a metric's rows add up to, by stretches of time and dimensions. Why: docs/decisions/0018-rollups.md.
"""
