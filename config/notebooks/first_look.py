# A first look at a recorded pool, as a notebook: editors that know `# %%` run it cell by cell, and
# jupytext makes an .ipynb of it. As a script: python first_look.py [DATA] (else $XENTRAIL_DATA,
# else ./xentrail-data).

# %% Open the history. While it is open, no other process can add to it.
import os
import sys

import query

data = sys.argv[1] if len(sys.argv) > 1 else os.environ.get("XENTRAIL_DATA", "xentrail-data")
history = query.open_history(data)

# %% What is there to ask? Every table and column says what it holds.
print(history.sql("SELECT pool, first_at, last_at FROM pools ORDER BY pool").to_pylist())
print(history.sql("SELECT comment FROM duckdb_columns() WHERE table_name = 'moves'").to_pylist())

# %% Where was the recorder blind? Any answer may lack what happened then.
for gap in history.lacks().gaps:
    print(f"gap @{gap.seq} of {gap.pool}: {gap.cause}, from {gap.since} to {gap.blind_until}")

# %% All VMs as they are now, and how certain that is.
vms = history.at("now", class_="VM", fields=["power_state"])
for vm in vms.to_pylist():
    print(vm["pool"], vm["name"], vm["power_state"], vm["certainty"])
print(query.notes_of(vms)["verdicts"])

# %% What changed most, by SQL; to_pandas() makes a data frame of any answer, where pandas is there.
busiest = history.sql("SELECT class, name, changes FROM busiest LIMIT 5")
print(busiest.to_pylist())

# %% The life of one VM, field by field.
one = vms.column("uuid")[0].as_py()
for step in history.history(one).to_pylist():
    print(step["seq"], step["operation"], step["origin"], step["field"], step["old"], step["new"])

# %% What is another than it was when the record began?
begin = history.sql("SELECT max(baselined_seq) AS seq FROM pools").column("seq")[0].as_py()
for difference in history.diff(f"@{begin}", "now").to_pylist():
    print(difference["what"], difference["class"], difference["name"], difference["field"])

# %%
history.close()
