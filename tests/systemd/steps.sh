# Sourced by run: what the administrator does, in the README's order, and what must then be so.

count=0
fail() {
  echo "FAILED: $1" >&2
  [ -z "${2:-}" ] || printf '%s\n' "$2" | sed 's/^/    /' >&2
  guest 'journalctl -u "rhombus-sync*" -u endpoint -n 15 --no-pager -o cat' >&2 || true
  exit 1
}
ok() {
  count=$((count + 1))
  echo "  ok  $1"
}
# what, the exit code that is wanted, the command, and a pattern that its output must have (or, with !, must not have)
step() {
  local code=0 out
  out=$(guest "$3") || code=$?
  [ "$code" = "$2" ] || fail "$1: exit $code" "$out"
  local pattern
  for pattern in "${@:4}"; do
    case $pattern in
      !*) ! grep -qE -- "${pattern#!}" <<<"$out" || fail "$1: has ${pattern#!}" "$out" ;;
      *) grep -qE -- "$pattern" <<<"$out" || fail "$1: lacks $pattern" "$out" ;;
    esac
  done
  ok "$1"
}
# The same, once it is so: 40 s at most.
soon() {
  local out
  for _ in $(seq 80); do
    if out=$(guest "$2") && grep -qE -- "$3" <<<"$out"; then
      ok "$1"
      return
    fi
    sleep 0.5
  done
  fail "$1: never $3" "$out"
}
do_it() { guest "$1" >/dev/null || fail "cannot: $1" "$(guest "$1" || true)"; }
status='systemctl show -p StatusText --value rhombus-sync'
as_service='runuser -u rhombus-sync -- rhombus-sync'
export_of() { # the first N records of the fixture, written beside and renamed over by the export job's user
  do_it "runuser -u exporter -- sh -c 'cd /var/lib/rhombus-sync-export && umask 027 && $1 >new && mv new directory.json'"
}

echo "installing"
step "the package installs, and says where the steps are" 0 'dpkg -i /root/rhombus-sync.deb' 'nothing was started' 'README.md'
step "it starts nothing" 3 'systemctl is-active rhombus-sync.service' inactive
step "it enables nothing" 1 'systemctl is-enabled rhombus-sync.service' disabled
step "user and folders are there" 0 'stat -c "%U %a" /var/lib/rhombus-sync /var/log/rhombus-sync' '^rhombus-sync 700$' '!root'
step "the configuration folder is root's" 0 'stat -c "%U %a" /etc/rhombus-sync /etc/rhombus-sync/config.toml' '!rhombus-sync'
step "the configuration as shipped is good" 0 'rhombus-sync check' 'there is none yet' 'token is missing'
step "a dangling start names what is wrong with the configuration or the export, and nothing loops" 0 \
  'systemctl start rhombus-sync; sleep 1; systemctl show -p NRestarts -p StatusText rhombus-sync' 'NRestarts=0' 'StatusText=(idle|stopped): .*'
do_it 'systemctl stop rhombus-sync; systemctl reset-failed'

echo "configuring"
do_it 'useradd --system exporter && install -d -o exporter -g exporter -m 750 /var/lib/rhombus-sync-export && install -d /srv/endpoint
  systemd-run -q --unit=endpoint -p WorkingDirectory=/srv/endpoint rhombus-sync -c /srv/endpoint/none.toml sandbox --listen 127.0.0.1:8484'
soon "an endpoint to try it on answers" 'ls /srv/endpoint/sandbox/token' token
do_it 'sed -i "s#^base_url = .*#base_url = \"http://127.0.0.1:8484/scim/v2\"#" /etc/rhombus-sync/config.toml'
do_it 'chmod 644 /root/directory.json; chmod 755 /root'
step "without a trusted certificate an https endpoint is not blamed" 1 \
  'sed "s#^base_url = .*#base_url = \"https://127.0.0.1:9/scim/v2\"#; s#^token_file.*#token_file = \"/srv/endpoint/sandbox/token\"#" /etc/rhombus-sync/config.toml >/tmp/c.toml
   SSL_CERT_FILE=/dev/null rhombus-sync -c /tmp/c.toml check --online' 'no trusted CA certificates' 'install ca-certificates'
do_it 'systemctl start rhombus-sync'
soon "a state that is not there yet is said" "$status" 'idle: there is no state yet; run .*activate'
do_it 'systemctl stop rhombus-sync'

echo "the token"
step "a missing token is named to the person who activates" 1 "$as_service activate" '/etc/rhombus-sync/token'
do_it 'install -o root -g rhombus-sync -m 640 /srv/endpoint/sandbox/token /etc/rhombus-sync/token'
do_it "$as_service activate"
ok "activated as the service's user"
step "whoever activated is in the log by the account" 0 "$as_service events tail" 'idm_integration_activate' 'rhombus-sync'
do_it 'mv /etc/rhombus-sync/token /root/token; systemctl start rhombus-sync'
soon "a missing token file is in the status" "$status" 'idle: there is no token in /etc/rhombus-sync/token'
do_it 'cp -p /root/token /etc/rhombus-sync/token'
soon "it begins by itself once the token is there" "$status" '^(no cycle|failed|done|a cycle)'

echo "the export"
do_it 'systemctl stop rhombus-sync'
export_of 'cat /root/directory.json'
step "an export that the service may not read is named" 0 "$as_service check" 'Permission denied'
do_it 'mkdir -p /etc/systemd/system/rhombus-sync.service.d /etc/systemd/system/rhombus-sync-reconcile.service.d
  for unit in rhombus-sync rhombus-sync-reconcile; do printf "[Service]\nSupplementaryGroups=exporter\n" >/etc/systemd/system/$unit.service.d/export.conf; done
  usermod -aG exporter rhombus-sync; systemctl daemon-reload; systemctl enable -q --now rhombus-sync'
soon "with the export's group it is read, and everybody in scope is there" "$status" '^done: 9 provisioned'
step "nobody's name is in the journal" 0 'journalctl -u rhombus-sync --no-pager -o cat' '!@example' 'a cycle ended'
step "the daemon's files are the service's" 0 'find /var/lib/rhombus-sync /var/log/rhombus-sync ! -user rhombus-sync' '!.'
step "what root looks at stays the service's" 0 \
  'rhombus-sync status >/dev/null && rhombus-sync plan >/dev/null && rhombus-sync events verify >/dev/null && find /var/lib/rhombus-sync ! -user rhombus-sync' '!.'

echo "reload"
step "a good reload is taken" 0 'systemctl reload rhombus-sync'
do_it 'cp -p /etc/rhombus-sync/config.toml /root/config.toml; sed -i "s/^\[scope\]/[scoop]/" /etc/rhombus-sync/config.toml'
step "a broken one fails, with the reason at priority err" 1 'systemctl reload rhombus-sync' 'failed'
step "and the daemon is as it was" 0 "systemctl is-active rhombus-sync; $status" '^active' 'done: 9' '!refused'
step "the journal has the reason" 0 'journalctl -u rhombus-sync -p err --no-pager -o cat' 'error: .*unknown key' '!a cycle ended'
do_it 'systemctl kill -s HUP rhombus-sync'
soon "a signal past the check is refused, and that stays in the status" "$status" 'done: 9 provisioned.*the reload was refused'
step "a start with it fails for good, and says why" 0 \
  'systemctl restart rhombus-sync; sleep 12; systemctl show -p Result -p ExecMainStatus -p NRestarts -p StatusText rhombus-sync' \
  'ExecMainStatus=78' 'NRestarts=0' 'StatusText=stopped: .*scoop'
do_it 'cp -p /root/config.toml /etc/rhombus-sync/config.toml; systemctl reset-failed; systemctl start rhombus-sync'
soon "the old configuration is good again" "$status" '^done: 9 provisioned'

echo "trouble"
do_it 'chmod 0 /var/log/rhombus-sync; chown root /var/log/rhombus-sync; systemctl kill -s USR1 rhombus-sync'
export_of 'sed s/Ada/Adah/ /root/directory.json'
soon "a log that cannot be written is in the status" "$status" 'sink file:.* is stuck.* events wait'
do_it 'chown rhombus-sync:rhombus-sync /var/log/rhombus-sync; chmod 700 /var/log/rhombus-sync'
soon "and so is its recovery" "$status" '^done: 9 provisioned(, [0-9]+ [a-z]+)*; next cycle'
do_it 'systemctl stop endpoint'
export_of 'cat /root/directory.json'
soon "an endpoint that is down is tried again soon, and the status says when" "$status" 'failed: Rhombus does not answer.*; next cycle|no cycle|a cycle is under way'
do_it 'systemd-run -q --unit=endpoint -p WorkingDirectory=/srv/endpoint rhombus-sync -c /srv/endpoint/none.toml sandbox --listen 127.0.0.1:8484'
soon "and it goes on by itself" "$status" '^done: 9 provisioned'
step "stop leaves a last word" 0 "systemctl stop rhombus-sync; $status; systemctl show -p Result --value rhombus-sync" '^stopped by a signal; the last cycle: done: 9' '^success'
do_it 'systemctl stop endpoint; systemd-run -q --unit=endpoint -p WorkingDirectory=/srv/endpoint rhombus-sync -c /srv/endpoint/none.toml sandbox --listen 127.0.0.1:8484 --faults delay_ms:9000
  printf "[Service]\nTimeoutStopSec=3s\n" >/etc/systemd/system/rhombus-sync.service.d/stop.conf; systemctl daemon-reload'
export_of 'sed s/Ada/Adah/ /root/directory.json'
do_it 'systemctl start rhombus-sync'
soon "a cycle under way is in the status" "$status" '^a cycle is under way'
step "stop waits for a request longer than TimeoutStopSec, and nobody is killed" 0 \
  'sleep 1; systemctl stop rhombus-sync; systemctl show -p Result --value rhombus-sync; journalctl -u rhombus-sync -n 8 --no-pager -o cat' '^success' 'told to stop'
do_it 'rm /etc/systemd/system/rhombus-sync.service.d/stop.conf; systemctl daemon-reload; systemctl stop endpoint
  systemd-run -q --unit=endpoint -p WorkingDirectory=/srv/endpoint rhombus-sync -c /srv/endpoint/none.toml sandbox --listen 127.0.0.1:8484; systemctl start rhombus-sync'
soon "the change arrives in the end" "$status" '^done: 9 provisioned'

echo "rotation"
do_it 'logrotate -f /etc/logrotate.d/rhombus-sync'
step "a freshly rotated log verifies" 0 "$as_service events verify"
export_of 'cat /root/directory.json'
soon "the next event makes a new file" 'ls -l /var/log/rhombus-sync' 'rhombus-sync rhombus-sync .* events.ndjson$'
step "and it verifies again" 0 "$as_service events verify"

echo "another token"
do_it 'printf wrong >/root/wrong; install -o root -g rhombus-sync -m 640 /root/wrong /etc/rhombus-sync/token; systemctl restart rhombus-sync'
soon "a wrong token is noticed at the restart, without anything to send" "$status" 'Rhombus refuses the token.*token file'
do_it 'install -o root -g rhombus-sync -m 640 /root/token /etc/rhombus-sync/token'
soon "the right one is taken up without a restart" "$status" '^done: 9 provisioned'
do_it 'sed -i "s#^token_file = .*#token_credential = \"rhombus-token\"#" /etc/rhombus-sync/config.toml; rm /etc/rhombus-sync/token'
step "a missing credential is named, and not tried for ever" 0 \
  'systemctl restart rhombus-sync; sleep 12; systemctl show -p NRestarts -p ActiveState -p StatusText rhombus-sync' \
  'NRestarts=0' 'ActiveState=failed' 'StatusText=stopped: .*LoadCredential=.*/etc/rhombus-sync/token'
do_it 'install -m 600 /root/token /etc/rhombus-sync/token; systemctl reset-failed; systemctl start rhombus-sync'
soon "a credential that only root can read is good" "$status" '^done: 9 provisioned'
do_it 'cp -p /root/config.toml /etc/rhombus-sync/config.toml; install -o root -g rhombus-sync -m 640 /root/token /etc/rhombus-sync/token; systemctl restart rhombus-sync'

echo "who did it"
step "root by sudo is named by the person" 0 \
  'SUDO_USER=carol rhombus-sync deactivate >/dev/null; sleep 1; rhombus-sync history ada@example.com >/dev/null; grep idm_integration_delete /var/log/rhombus-sync/events.ndjson | tail -n 1' '"username":"carol"' '"claimed":true'
soon "the daemon obeys" "$status" 'idle: deactivated'
do_it 'rm -f /var/log/rhombus-sync/events.ndjson; rhombus-sync activate; rhombus-sync --reconcile || [ $? = 5 ]'
step "what root makes beside the service is the service's" 0 'find /var/lib/rhombus-sync /var/log/rhombus-sync ! -user rhombus-sync; ls /var/log/rhombus-sync' '!^/' 'events.ndjson'
soon "and begins again" "$status" '^done: 9 provisioned'

echo "backup and restore, by the page"
do_it 'install -d -m 700 /var/backups/rhombus-sync && rhombus-sync backup /var/backups/rhombus-sync/1.db'
export_of 'sed s/Ada/Adah/ /root/directory.json'
soon "something happens after it" 'rhombus-sync status' 'daemon'
do_it 'sleep 2; systemctl stop rhombus-sync && cd /var/lib/rhombus-sync && rm -f rhombus-sync.db-wal rhombus-sync.db-shm &&
  install -o rhombus-sync -g rhombus-sync -m 600 /var/backups/rhombus-sync/1.db rhombus-sync.db && systemctl start rhombus-sync'
soon "a restored state goes on" "$status" '(done|held|partial): 9 provisioned'
step "and says that it was restored" 0 'journalctl -u rhombus-sync --no-pager -o cat' 'the state was restored from a backup'

echo "a timer instead of the daemon"
do_it 'systemctl disable -q --now rhombus-sync; systemctl start rhombus-sync-reconcile.service'
step "one cycle is one line in the journal, without names" 0 'journalctl -u rhombus-sync-reconcile --no-pager -o cat -t rhombus-sync' 'unchanged=' '!@example'
do_it 'systemctl enable -q --now rhombus-sync'

echo "an instance named like a domain"
do_it 'install -m 600 /root/token /etc/rhombus-sync/acme.example.token
  sed "s#^token_file = .*#token_credential = \"rhombus-token\"#; s#/rhombus-sync/rhombus-sync.db#/rhombus-sync-acme.example/rhombus-sync.db#; s#/var/log/rhombus-sync/#/var/log/rhombus-sync-acme.example/#" /root/config.toml >/etc/rhombus-sync/acme.example.toml
  mkdir /etc/systemd/system/rhombus-sync@.service.d; cp /etc/systemd/system/rhombus-sync.service.d/export.conf /etc/systemd/system/rhombus-sync@.service.d/; systemctl daemon-reload'
step "a command that needs its token gets it by the line of the page" 0 \
  'SUDO_USER=carol systemd-run -q -P -E SUDO_USER -p LoadCredential=rhombus-token:/etc/rhombus-sync/acme.example.token rhombus-sync -c /etc/rhombus-sync/acme.example.toml activate' 'activated'
do_it 'systemctl enable -q --now rhombus-sync@acme.example'
soon "it starts, and the state is its user's" 'systemctl show -p StatusText --value rhombus-sync@acme.example' '^done: 9 provisioned'
step "the log says who activated it" 0 'grep idm_integration_activate /var/log/rhombus-sync-acme.example/events.ndjson' '"username":"carol"'

echo "reboot"
reboot_machine || fail "it does not come up again"
do_it 'systemd-run -q --unit=endpoint -p WorkingDirectory=/srv/endpoint rhombus-sync -c /srv/endpoint/none.toml sandbox --listen 127.0.0.1:8484'
soon "the daemon is up after a reboot, and goes on" "$status" '(done|held): 9 provisioned'
step "nobody is there twice" 0 'systemctl kill -s USR1 rhombus-sync; rhombus-sync events verify && rhombus-sync status --json' '"provisioned":9'

if [ "$machine" = qemu ]; then . "$here/cuts.sh"; fi

echo "removal and purge"
step "a removal stops it" 0 'systemctl stop rhombus-sync@acme.example; dpkg -r rhombus-sync 2>&1; systemctl is-active rhombus-sync; true' '!^active'
step "and keeps state, log, token and configuration" 0 'ls /var/lib/rhombus-sync/rhombus-sync.db /var/log/rhombus-sync/events.ndjson /etc/rhombus-sync/token /etc/rhombus-sync/config.toml'
step "a purge removes them, the instance's too, and not the export" 0 \
  'dpkg -P rhombus-sync 2>&1; ls -d /var/lib/rhombus-sync* /var/log/rhombus-sync* /var/lib/private/* /etc/rhombus-sync 2>/dev/null; true' '^/var/lib/rhombus-sync-export$' '!/var/lib/rhombus-sync$' '!/etc/rhombus-sync' '!acme' '!/var/log/rhombus-sync'

if [ -n "$old" ]; then
  echo "an upgrade of the release before packages"
  do_it 'dpkg -i /root/before.deb; cp /root/config.toml /etc/rhombus-sync/config.toml; sed -i "s#^token_file = .*#token_credential = \"rhombus-token\"#" /etc/rhombus-sync/config.toml; install -m 600 /root/token /etc/rhombus-sync/token
    chown root:root /var/lib/rhombus-sync /var/log/rhombus-sync; systemctl daemon-reload
    systemd-run -P -q -p User=rhombus-sync -p DynamicUser=yes -p StateDirectory=rhombus-sync -p LogsDirectory=rhombus-sync -p LoadCredential=rhombus-token:/etc/rhombus-sync/token rhombus-sync activate
    systemctl enable -q --now rhombus-sync'
  soon "the old one runs" "$status" '^done: 9 provisioned'
  step "the upgrade keeps it running and says what it migrated" 0 'dpkg --force-confold -i /root/rhombus-sync.deb 2>&1' 'rhombus-sync: (the state was upgraded|no state was upgraded)'
  soon "the new one goes on with the same state" "$status" '^done: 9 provisioned'
  step "the folders are the user's, and no links any more" 0 'stat -c "%F %U" /var/lib/rhombus-sync /var/log/rhombus-sync; find /var/lib/rhombus-sync/ ! -user rhombus-sync' '^directory rhombus-sync$' '!link' '!/var'
  step "the log is one log" 0 'rhombus-sync events verify'
else
  echo "NOT TRIED: the upgrade; commit $before is not in this checkout"
fi
