"""The unix socket by which a running recorder is asked and told: status, reload, follow,
run, import.

PROTOCOL, version 1. A client connects to `DATA/control.sock`, which is its owner's alone (0600),
sends one JSON object on one line, and reads JSON objects, one a line. Unknown keys are refused.

    {"command": "status"}       -> {"protocol": 1, "status": {...}}
    {"command": "reload"}       -> {"protocol": 1, "reload": {...}}
    {"command": "follow", ...}  -> {"protocol": 1, "following": {"last_seq": N}}, and then for ever
        {"kind": "event", "seq": ..., ...}   an entry, once it is durable; see `lines`
        {"kind": "missed", "count": ..., "first_seq": ..., "last_seq": ...}
                                             entries that this client was too slow for
        {"kind": "end", "reason": ...}       the recorder stops: the last line
    {"command": "run", ...}     -> {"protocol": 1, "running": {...}}, what is planned, and then
        {"kind": "step", ...}                a call is made, goes on, or has ended
        {"kind": "run", "held": ..., ...}    how it went: the last line
    {"command": "resume", ...}  -> as for `run`: a run goes on that was begun before
    {"command": "import", ...}  -> {"protocol": 1, "imported": {"lines": N}}, once they are durable

A `run` with {"replay": {"run": ..., "plan": ...}} is that run once more, by its plan.

A client that closes its end of the connection ends its run: tasks under way are cancelled, and it
is told how they ended if it still reads.

Whatever cannot be done is answered by {"protocol": 1, "error": {"name": ..., "texts": [...]}} and
the end of the connection. `protocol` in a request is optional, and refused if it is not ours. Not
told are marks that the journal writes by itself, of segments that were dropped for instance. Who
follows keeps both directions open: a client that closes its own is taken for gone.
"""
