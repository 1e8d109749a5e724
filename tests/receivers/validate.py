"""OCSF lines under the JSON schema of the version that they name, and under ocsf-emitter; CEF lines under pycef."""
import json
import sys

import jsonschema
import ocsf_emitter
import ocsf_emitter._models as models
import pycef
from ocsf_json_schema import OcsfJsonSchemaEmbedded, get_ocsf_schema

NEEDED = {"externalId", "rt", "outcome", "chain", "sequence", "duser"}
complaints, schemas, lines_count = 0, {}, 0


def complain(who, file, number, what):
    global complaints
    complaints += 1
    print(f"{who}: {file}:{number}: {what}")


def check(file, number, line):
    if line.startswith("CEF:"):
        found = pycef.parse(line.rstrip("\n"))
        if not found or not (NEEDED if "duser=" in line else NEEDED - {"duser"}) <= set(found):
            complain("pycef", file, number, found)
        return
    event = json.loads(line)
    version = event["metadata"]["version"]
    schema, validators = schemas.setdefault(version, (OcsfJsonSchemaEmbedded(get_ocsf_schema(version)), {}))
    uid = event["class_uid"]
    if uid not in validators:
        validators[uid] = jsonschema.Draft202012Validator(schema.get_class_schema(schema.lookup_class_name_from_uid(uid), []))
    for error in validators[uid].iter_errors(event):
        complain("schema", file, number, error.message[:200])
    if version == ocsf_emitter.OCSF_SCHEMA_VERSION:
        try:
            ocsf_emitter.validate({3001: models.AccountChange, 3004: models.EntityManagement}[uid].model_validate(event))
        except Exception as error:
            complain("ocsf-emitter", file, number, str(error)[:200])


for file in sys.argv[1:]:
    for number, line in enumerate(open(file, encoding="utf-8", newline="\n"), 1):
        lines_count += 1
        check(file, number, line)
print(f"receivers: {lines_count} lines, {complaints} complaints of ocsf-json-schema, ocsf-emitter, pycef")
sys.exit(bool(complaints))
