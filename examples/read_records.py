"""What a run has on record, as tables and line by line.

fade-ray search --data digits --out runs/first
python read_records.py runs/first
"""

import json
import sys
from pathlib import Path

import pyarrow.compute as pc
import pyarrow.parquet as pq

run = Path(sys.argv[1])

# --8<-- [start:tables]
trials = pq.read_table(run / "tables" / "trials.parquet")
print(trials.column_names)
print(trials.group_by("kind").aggregate([("seconds", "sum"), ("id", "count")]).to_pylist())

epochs = pq.read_table(run / "tables" / "epochs.parquet")
print("seconds of an epoch, median:", pc.quantile(epochs["seconds"], 0.5)[0])
# --8<-- [end:tables]

# --8<-- [start:lines]
events = [json.loads(line) for line in (run / "records.jsonl").read_text().splitlines()]
print({name: sum(e["event"] == name for e in events) for name in {e["event"] for e in events}})
# --8<-- [end:lines]
