"""Faults as data: rules say what goes wrong in a simulated pool, when, for whom and how often.

`reading` makes rules of TOML, `ledger` decides, the others do: replies, tasks, the whole pool.
"""
