"""Workloads: scripted operations on the VMs of a pool, every intent and outcome of them recorded.

A *script* (TOML) lists steps; with the state of a pool and a seed it becomes a *plan*, in which
every VM has a *lane*: the calls that are made to it, in order. A *run* carries a plan out. What the
journal calls a step of a run is one of those calls: its intent is durable before it is made, its
task at once, its outcome with the task's record.
"""
