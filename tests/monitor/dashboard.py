"""contrib/grafana-dashboard.json as Grafana's own types read it (grafana-foundation-sdk): what they do not know, they drop."""

import json
import sys

from grafana_foundation_sdk.cog.plugins import register_default_plugins
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.dashboard import Dashboard

GRID_COLUMNS = 24


def dropped(ours, theirs, path=""):
    """Where theirs lacks or changes something of ours."""
    if isinstance(ours, dict):
        if not isinstance(theirs, dict):
            return [path]
        return [found for key, value in ours.items() for found in dropped(value, theirs.get(key), f"{path}.{key}")]
    if isinstance(ours, list):
        if not isinstance(theirs, list) or len(ours) != len(theirs):
            return [path]
        return [found for at, pair in enumerate(zip(ours, theirs)) for found in dropped(*pair, f"{path}[{at}]")]
    return [] if ours == theirs else [f"{path}: {ours!r} is {theirs!r}"]


def overlapping(panels):
    cells = {}
    for panel in panels:
        at = panel["gridPos"]
        assert at["x"] + at["w"] <= GRID_COLUMNS, panel["title"]
        for cell in ((x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])):
            if cell in cells:
                yield f"{panel['title']} over {cells[cell]}"
            cells[cell] = panel["title"]


register_default_plugins()
with open(sys.argv[1]) as file:
    ours = json.load(file)
theirs = json.loads(JSONEncoder(sort_keys=True).encode(Dashboard.from_json(ours)))
assert dropped(ours, theirs) == [], "\n".join(dropped(ours, theirs))
assert list(overlapping(ours["panels"])) == []
assert len({panel["id"] for panel in ours["panels"]}) == len(ours["panels"])
print(f"Grafana's types take the dashboard as it is: {len(ours['panels'])} panels")
