# Sourced by run: a Debian in a folder, booted in systemd-nspawn or in qemu, and commands that run in it.

suite=${SUITE:-bookworm}

# The folder, from a copy of an earlier run if there is one.
make_root() {
  local made=$cache/$suite-$machine.tar packages=systemd,systemd-sysv,dbus,ca-certificates,logrotate,procps
  [ "$machine" = nspawn ] || packages=$packages,linux-image-cloud-amd64
  command -v debootstrap >/dev/null || { echo "no debootstrap" >&2; exit 1; }
  if [ ! -s "$made" ]; then
    debootstrap --variant=minbase --include="$packages" "$suite" "$work/made" >"$work/debootstrap.log" 2>&1 || {
      tail -n 5 "$work/debootstrap.log" >&2
      exit 1
    }
    tar -C "$work/made" -cf "$made.new" . && mv "$made.new" "$made"
    rm -rf "$work/made"
  fi
  mkdir "$work/root"
  tar -C "$work/root" -xf "$made"
  rm -f "$work/root/etc/resolv.conf"
  echo guest >"$work/root/etc/hostname"
  # Nothing here may wait for a person or for the network.
  systemctl --root="$work/root" mask -q systemd-firstboot.service systemd-networkd-wait-online.service getty.target console-getty.service
  install -m 755 "$here/agent" "$work/root/usr/local/sbin/agent"
  if [ "$machine" = qemu ]; then
    install -m 644 "$here/agent.service" "$work/root/etc/systemd/system/"
    systemctl --root="$work/root" enable -q agent.service
    echo '/dev/vda / ext4 rw 0 1' >"$work/root/etc/fstab"
  fi
}

# A package of the commit before there were packages: its program and its units in this one's frame.
old_package() {
  git cat-file -e "$before^{commit}" 2>/dev/null || return 1
  local tree=$work/before frame=$work/frame binary=$cache/rhombus-sync-$before
  if [ ! -x "$binary" ]; then
    git worktree add --quiet --detach "$tree" "$before" >&2 || return 1
    # In the same folder: the crates are built already.
    (cd "$tree" && cargo build --quiet --locked --bin rhombus-sync --target-dir "${CARGO_TARGET_DIR:-$here/../../target}") >&2 || return 1
    strip --strip-debug -o "$binary" "${CARGO_TARGET_DIR:-target}/debug/rhombus-sync"
    git worktree remove --force "$tree"
  fi
  dpkg-deb -R "$package" "$frame" || return 1
  install -m 755 "$binary" "$frame/usr/bin/rhombus-sync"
  for unit in rhombus-sync.service rhombus-sync@.service rhombus-sync-reconcile.service rhombus-sync-reconcile.timer; do
    git show "$before:systemd/$unit" >"$frame/lib/systemd/system/$unit"
  done
  sed -i 's/^Version: .*/Version: 0.0.9-1/' "$frame/DEBIAN/control"
  (cd "$frame" && find . -type f ! -path './DEBIAN/*' -printf '%P\0' | xargs -0 md5sum) >"$work/md5sums"
  mv "$work/md5sums" "$frame/DEBIAN/md5sums"
  dpkg-deb --root-owner-group -Znone -b "$frame" "$work/before.deb" >/dev/null && echo "$work/before.deb"
}

machine_on() {
  "on_$machine"
  for _ in $(seq 240); do
    if guest 'systemctl is-system-running' 2>/dev/null | grep -qE '^(running|degraded)$'; then return 0; fi
    kill -0 "$host" 2>/dev/null || return 1
    sleep 0.5
  done
  return 1
}

on_nspawn() {
  command -v systemd-nspawn >/dev/null || { echo "no systemd-nspawn" >"$work/console"; host=; return 1; }
  # Without a systemd of our own above it, the machine needs a control group of its own.
  (
    for tree in /sys/fs/cgroup/unified /sys/fs/cgroup/systemd /sys/fs/cgroup; do
      [ -f "$tree/cgroup.procs" ] || continue
      mkdir -p "$tree/rhombus-sync-test" && echo "$BASHPID" >"$tree/rhombus-sync-test/cgroup.procs" || true
    done
    export SYSTEMD_NSPAWN_UNIFIED_HIERARCHY=1
    exec systemd-nspawn --quiet --register=no --keep-unit --private-network --console=pipe -D "$work/root" --boot </dev/null
  ) >"$work/console" 2>&1 &
  host=$!
  leader=
  for _ in $(seq 100); do
    leader=$(pgrep -P "$host" | head -n 1) && [ -n "$leader" ] && break
    kill -0 "$host" 2>/dev/null || return 1
    sleep 0.2
  done
}

on_qemu() {
  command -v qemu-system-x86_64 >/dev/null || { echo "no qemu-system-x86_64" >"$work/console"; return 1; }
  if [ ! -f "$work/disk" ]; then
    truncate -s 2G "$work/disk"
    mkfs.ext4 -q -d "$work/root" "$work/disk"
  fi
  qemu-system-x86_64 -accel tcg,thread=multi -smp 2 -m 1536 -nographic -no-reboot -nic none \
    -kernel "$(ls "$work"/root/boot/vmlinuz-*)" -initrd "$(ls "$work"/root/boot/initrd.img-*)" \
    -append 'root=/dev/vda rw console=ttyS0 quiet' -drive "file=$work/disk,if=virtio,format=raw" \
    -device virtio-serial -chardev "socket,id=agent,path=$work/agent,server=on,wait=off" -device virtserialport,chardev=agent,name=agent \
    </dev/null >"$work/console" 2>&1 &
  host=$!
}

# Runs a command in the machine; its output and its exit code.
guest() {
  case $machine in
    nspawn) nsenter -t "$leader" -a -- env -i HOME=/root LANG=C.UTF-8 PATH=/usr/sbin:/usr/bin:/sbin:/bin bash -c "$1" 2>&1 ;;
    qemu) timeout 300 python3 "$here/ask.py" "$work/agent" "$1" ;;
  esac
}

machine_off() {
  [ -n "$host" ] || return 0
  # Its own children first: what is left of a machine keeps its folder busy.
  [ -z "$leader" ] || kill -KILL "$leader" 2>/dev/null || true
  kill -KILL "$host" 2>/dev/null || true
  wait "$host" 2>/dev/null || true
  host=
}

# Turned off and on again, as an administrator does it.
reboot_machine() {
  case $machine in
    nspawn) kill -s RTMIN+4 "$leader" ;;
    qemu) guest 'systemctl --no-block poweroff' || true ;;
  esac
  for _ in $(seq 240); do
    kill -0 "$host" 2>/dev/null || break
    sleep 0.5
  done
  machine_off
  machine_on
}
