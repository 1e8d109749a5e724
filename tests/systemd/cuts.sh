# Sourced by steps, in qemu alone: power that goes, and clocks that are set.

endpoint='systemd-run -q --unit=endpoint -p WorkingDirectory=/srv/endpoint rhombus-sync -c /srv/endpoint/none.toml sandbox --listen 127.0.0.1:8484'
cut_power() {
  machine_off
  machine_on || fail "it does not come up after a power cut"
  do_it "$endpoint"
}

echo "power cuts"
do_it 'systemctl stop rhombus-sync; rm -rf /var/lib/rhombus-sync/* /var/log/rhombus-sync/*; sync'
do_it "$as_service activate && systemctl start rhombus-sync"
soon "a fresh state has everybody" "$status" ': 9 provisioned'
cut_power
soon "seconds after the activation the power goes, and the state is not taken for a restored one" "$status" ': 9 provisioned'
step "that is what the log says, too" 0 'journalctl -b -u rhombus-sync --no-pager -o cat; rhombus-sync events verify' '!restored'
export_of 'sed s/Ada/Adah/ /root/directory.json'
sleep 1
cut_power
soon "the power goes in the middle of a change, and it is made once" "$status" '^done: 9 provisioned'
step "the log is whole" 0 'rhombus-sync events verify && rhombus-sync status --json' '"provisioned":9'

echo "clocks"
do_it 'systemctl stop rhombus-sync; systemctl start rhombus-sync'
soon "it runs" "$status" '^done: 9 provisioned'
do_it 'date -s "+1 day"'
export_of 'cat /root/directory.json'
soon "a day ahead, an export is read" 'rhombus-sync status' 'daemon'
sleep 4
# The simulator, too, is to show the time as it is: its HTTP server keeps a Date that lies ahead until that has come.
do_it "systemctl stop endpoint; date -s '-1 day'; $endpoint"
export_of 'sed s/Ada/Adah/ /root/directory.json'
do_it 'systemctl kill -s USR1 rhombus-sync'
soon "back again, the export of today is read, and no day is lost" "$status" '^done: 9 provisioned'
