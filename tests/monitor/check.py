"""The checks of tests/monitor/run: a daemon with a held removal, seen by promtool, Prometheus, Chromium and axe-core."""

import json
import os
import re
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request

from browser import Browser

BINARY, WORK, AXE, PICTURES = sys.argv[1:5]
FAMILIES = {
    "cycles_total": "counter", "changes_total": "counter", "request_duration_seconds": "histogram", "users": "gauge",
    "oldest_pending_removal_timestamp_seconds": "gauge", "last_good_cycle_timestamp_seconds": "gauge",
    "sink_pending": "gauge", "sink_dead_letters_total": "counter", "token_proven_timestamp_seconds": "gauge",
    "replica_behind_timestamp_seconds": "gauge",
    "token_first_proven_timestamp_seconds": "gauge", "export_written_timestamp_seconds": "gauge", "build_info": "gauge",
}
started = []


def free_port():
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


def start(*command, **options):
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, **options)
    started.append(process)
    return process


def until(what, is_so, seconds=30):
    deadline = time.monotonic() + seconds
    while True:
        found = is_so()
        if found:
            return found
        assert time.monotonic() < deadline, f"never: {what}"
        time.sleep(0.1)


def get(url, **headers):
    request = urllib.request.Request(url, headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.status, dict(answer.headers), answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, dict(error.headers), error.read().decode()


def export(people):
    users = [
        {"_id": f"id-{n:03}", "username": f"person{n}@corp.example", "firstname": "Ann", "lastname": f"Lee{n}",
         "state": "ACTIVATED", "groups": ["Rhombus"]}
        for n in people
    ]
    path = os.path.join(WORK, "directory.json")
    with open(path + ".new", "w") as file:
        json.dump(users, file)
    os.rename(path + ".new", path)


def daemon():
    """A daemon for 40 people of whom 12 are gone: too many at once, so they are held."""
    simulator = start(BINARY, "-c", os.path.join(WORK, "config.toml"), "sandbox", "--listen", "127.0.0.1:0", "--json", cwd=WORK)
    made = json.loads(simulator.stdout.readline())
    port = free_port()
    with open(os.path.join(WORK, "config.toml"), "w") as file:
        file.write(
            f'[directory]\npath = "directory.json"\n[scope]\ngroups = ["Rhombus"]\n[rhombus]\nbase_url = "{made["base_url"]}"\n'
            f'token_file = "{made["token_file"]}"\nrequests_per_second_max = 1000\n[schedule]\ncron = "*/2 * * * * *"\n'
            f'[state]\npath = "state/state.db"\n[[sinks]]\nkind = "file"\nname = "the \\"SIEM\\" \\\\ file"\npath = "events.ndjson"\n'
            f'[monitor]\nlisten = "127.0.0.1:{port}"\n'
        )
    export(range(40))
    # So that commands on the page are as short as on a server.
    environment = {**os.environ, "RHOMBUS_SYNC_CONFIG": os.path.join(WORK, "config.toml")}
    subprocess.run([BINARY, "activate"], check=True, cwd=WORK, stdout=subprocess.DEVNULL, env=environment)
    process = start(BINARY, cwd=WORK, env=environment)
    monitor = f"http://127.0.0.1:{port}"

    def users(state):
        try:
            return re.search(rf'users{{state="{state}"}} (\d+)', get(monitor + "/metrics")[2])[1]
        except OSError:
            return None

    until("40 people are provisioned", lambda: users("provisioned") == "40")
    export(range(28))
    until("12 removals are held", lambda: users("held") == "12")
    return process, monitor


def exposition(monitor):
    """What promtool does not look at."""
    newer = "application/openmetrics-text; version=1.0.0"
    status, headers, text = get(monitor + "/metrics", Accept=newer)
    assert status == 200 and headers["content-type"].startswith("text/plain; version=0.0.4"), headers
    assert text.endswith("\n") and "# EOF" not in text and "\r" not in text and "\n\n" not in text
    kinds = dict(re.findall(r"^# TYPE rhombus_sync_(\S+) (\S+)$", text, re.M))
    assert kinds == FAMILIES, kinds
    assert re.findall(r"^# HELP rhombus_sync_(\S+) \S", text, re.M) == list(kinds), "HELP of each, once, before its TYPE"
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    series = [line.rsplit(" ", 1)[0] for line in lines]
    assert len(series) == len(set(series)), "a series comes twice"
    family, buckets = None, {}
    for line in text.splitlines():
        if line.startswith("# HELP"):
            family = line.split()[2]
        elif not line.startswith("#"):
            name, labels, value = re.fullmatch(r"(\w+)(?:{(.*)})? (\S+)", line).groups()
            assert re.sub("_(bucket|sum|count)$", "", name) == family or name == family, f"{name} stands in {family}"
            bound = re.search(r',le="([^"]+)"', labels or "")
            if bound:
                buckets.setdefault(labels.replace(bound[0], ""), []).append((float(bound[1]), float(value)))
    assert buckets
    for labels, found in buckets.items():
        assert found == sorted(found) and found[-1][0] == float("inf"), labels
        assert [count for _, count in found] == sorted(count for _, count in found), labels
        assert f"request_duration_seconds_count{{{labels}}} {found[-1][1]:.0f}" in text, labels
    assert "@corp.example" not in text and "Lee" not in text
    judged = subprocess.run(["promtool", "check", "metrics"], input=text, text=True, capture_output=True)
    assert judged.returncode == 0, judged.stdout + judged.stderr
    print(f"metrics: {len(kinds)} families, {len(series)} series; promtool has nothing to say")


def dashboard():
    with open("contrib/grafana-dashboard.json") as file:
        text = file.read()
    expressions = [target["expr"] for panel in json.loads(text)["panels"] for target in panel["targets"]]
    known = set(FAMILIES) | {f"request_duration_seconds_{end}" for end in ("bucket", "count", "sum")}
    used = {name for one in expressions for name in re.findall(r"rhombus_sync_(\w+)", one)}
    assert used <= known and len(expressions) >= 12, used - known
    return expressions


def prometheus(monitor):
    """The real one scrapes it, and knows every query of the dashboard."""
    port = free_port()
    config = os.path.join(WORK, "prometheus.yml")
    with open(config, "w") as file:
        file.write(
            f"global: {{scrape_interval: 1s}}\nrule_files: [{os.path.abspath('contrib/prometheus-rules.yml')}]\n"
            f"scrape_configs: [{{job_name: rhombus-sync, static_configs: [{{targets: ['{monitor.split('//')[1]}']}}]}}]\n"
        )
    start("prometheus", f"--config.file={config}", f"--storage.tsdb.path={WORK}/tsdb", f"--web.listen-address=127.0.0.1:{port}")

    def query(text):
        url = f"http://127.0.0.1:{port}/api/v1/query?" + urllib.parse.urlencode({"query": text})
        try:
            status, _, body = get(url)
        except OSError:
            return []
        if status == 503:
            return []
        assert status == 200, f"{text}: {body}"
        return json.loads(body)["data"]["result"]

    # It answers 503 until it is up.
    held = until("a scrape", lambda: query('rhombus_sync_users{state="held"}'))
    assert held[0]["value"][1] == "12", held
    assert query("up")[0]["value"][1] == "1"
    assert query("rhombus_sync_sink_pending")[0]["metric"]["sink"] == 'the "SIEM" \\ file'
    for expression in dashboard():
        query(expression.replace("$instance", ".*"))
    print("Prometheus scrapes it, and takes every query of the dashboard")


def page(monitor, process):
    browser = Browser(free_port())
    with open(AXE) as file:
        axe = file.read()
    try:
        for name, scheme, width, height in (("light", "light", 1100, 1500), ("dark", "dark", 1100, 1500), ("phone", "light", 390, 2200)):
            browser.look_like(scheme, width, height)
            browser.open(monitor + "/")
            text = browser.run("return document.body.innerText")
            hold = re.search(r"rhombus-sync approve ([0-9a-f]{8})", text)
            assert hold and "held: 12 users (delete)" in text and "id-028" in text, text
            assert "@corp.example" not in text and "Lee" not in text, "names of people"
            assert browser.run("return document.documentElement.scrollWidth <= innerWidth"), f"{name}: it is too wide"
            browser.run(axe)
            found = browser.wait_for("const done = arguments[0]; axe.run(document).then(found => done(found.violations))")
            assert found == [], json.dumps(found, indent=1)
            browser.picture(os.path.join(PICTURES, f"{name}.png"))
        before = browser.run("return document.querySelector('main').innerText")
        until("the page renews itself", lambda: browser.run("return document.querySelector('main').innerText") != before)
        complaints = browser.complaints()
        assert complaints == [], complaints
        os.kill(process.pid, 9)
        until("it says that it is old", lambda: browser.run("return document.getElementById('lost').checkVisibility()"))
    finally:
        browser.close()
    print("the page names what is held with its command, in light, dark and on a phone; axe-core finds nothing")


def main():
    try:
        process, monitor = daemon()
        assert get(monitor + "/healthz")[0] == 200
        assert get(monitor + "/", Host="evil.example")[0] == 421
        exposition(monitor)
        prometheus(monitor)
        page(monitor, process)
        pages = os.path.join(WORK, "man")
        subprocess.run([BINARY, "man", pages], check=True, stdout=subprocess.DEVNULL)
        for one in os.listdir(pages):
            said = subprocess.run(["mandoc", "-T", "lint", "-W", "error", os.path.join(pages, one)], capture_output=True, text=True)
            assert said.returncode == 0, said.stdout
        print(f"mandoc finds no error in {len(os.listdir(pages))} manual pages")
    finally:
        for process in reversed(started):
            process.kill()
            process.wait()


main()
