"""OCSF lines under pydantic-ocsf's models of the version that they name."""
import importlib
import json
import sys

complaints, lines_count = 0, 0
for file in sys.argv[1:]:
    for number, line in enumerate(open(file, encoding="utf-8", newline="\n"), 1):
        event = json.loads(line)
        events = importlib.import_module("ocsf.v" + event["metadata"]["version"].replace(".", "_") + ".events")
        lines_count += 1
        try:
            {3001: events.AccountChange, 3004: events.EntityManagement}[event["class_uid"]].model_validate(event)
        except ValueError as error:
            complaints += 1
            print(f"pydantic-ocsf: {file}:{number}: {str(error)[:200]}")
print(f"receivers: {lines_count} lines, {complaints} complaints of pydantic-ocsf")
sys.exit(bool(complaints))
