"""Audits of runs: what a run claims, held against the events that were recorded. No pool is asked.

`claims` is what the marks of a run say, `recorded` what events say of its tasks and objects, and
`gather` asks the history for both. What follows is pure, a small function a rule: `scripted`,
`course`, `tasks`, `effects`, `ends`, `radius`; `judge` makes the verdict of their findings.
"""
