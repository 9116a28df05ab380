"""The service: records pools into the journal. It never imports `query` or duckdb.

From the socket up: `client` speaks to a pool in the words of `xapi`, `pools` records each without
what `redaction` takes out, the keeper writes it all into the `journal`, and `service` holds them
together; `control` is how a recorder that runs is asked. `workloads` run on pools, the `simulator`
is a pool, which `past` makes like one that was recorded, `checking` tries what a configuration
names, and `commands` are the command line.
"""

VERSION = "0.1.0"
"""Of xentrail; packaging reads it here. Asking the installed package is a twentieth of a start."""
