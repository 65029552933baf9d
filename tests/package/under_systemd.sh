#!/usr/bin/env bash
# The service under a systemd of its own: what starts, what restarts, what is left alone.
#
# in   run as root by the systemd of a container in which the package is installed (life_cycle.py)
# out  /checks: "ok SENTENCE" or "FAILED SENTENCE" lines, what was found indented under a failure
#
# No camera and no broker are there, which must keep nothing from starting. Waiting is bounded and
# measures nothing.
set -uo pipefail

readonly unit=deepid-edge.service config=/etc/deepid-edge/config.toml
exec >/checks 2>&1

check() { # check SENTENCE COMMAND…
    local sentence=$1
    shift
    if "$@"; then
        echo "ok $sentence"
    else
        echo "FAILED $sentence"
        { systemctl show --property=Result,ActiveState,NRestarts,ExecMainStatus $unit; journalctl --no-pager --lines=8 --unit=$unit --unit=deepid-edge-retry.service; } | sed 's/^/    /'
    fi
}
value() { systemctl show --property="$1" --value "${2:-$unit}"; }
becomes() { # becomes STATE: waits until the service is active or failed
    for _ in $(seq 300); do
        [ "$(systemctl is-active $unit)" = "$1" ] && return
        sleep 0.2
    done
    return 1
}
is() { [ "$(value "$1")" = "$2" ]; }
logged() { journalctl --no-pager --unit=$unit _PID="$(value MainPID)" | grep --quiet "$1"; }
idle() { ! systemctl --quiet is-active deepid-edge-retry.timer && [ "$(value ActiveState deepid-edge-retry.service)" = inactive ]; }
retried() { # waits until the slow retry has been and gone
    for _ in $(seq 100); do
        idle && return
        sleep 0.2
    done
    return 1
}
kill_until_it_stays_down() {
    for _ in $(seq 12); do
        for _ in $(seq 100); do
            case $(systemctl is-active $unit) in
            active) break ;;
            failed) return ;;
            *) sleep 0.1 ;;
            esac
        done
        systemctl kill --signal=KILL $unit
        sleep 0.1
    done
}

# Five minutes are for a board, not for a test.
mkdir -p /etc/systemd/system/deepid-edge-retry.timer.d
printf '[Timer]\nOnActiveSec=\nOnActiveSec=2s\nAccuracySec=1s\n' >/etc/systemd/system/deepid-edge-retry.timer.d/soon.conf
systemctl daemon-reload
# Disabled for the boot, so that it could be seen not running.
systemctl --quiet enable $unit

check 'it was not started by installing or booting: it is not configured yet' is ActiveState inactive
systemctl start $unit
check 'it starts with its whole sandbox, without camera, broker and credentials' becomes active
check 'it is confined by filters of system calls' grep --quiet '^Seccomp:.*2' "/proc/$(value MainPID)/status"
check 'it cannot ask for new rights' grep --quiet '^NoNewPrivs:.*1' "/proc/$(value MainPID)/status"

mkdir -p --mode=0700 /etc/credstore
echo 'secret of the test' >/etc/credstore/deepid-edge.mqtt-password
secret=/run/credentials/$unit/deepid-edge.mqtt-password
printf '[clock]\nrequire = "synchronised"\n[mqtt]\nusername = "door"\npassword_file = "%s"\n' "$secret" >$config
systemctl restart $unit
check 'a credential is handed to it' grep --quiet 'secret of the test' "$secret"
# Not by its owner: systemd 257 leaves it root's, and opens it to the service by an access list.
as() { runuser --user "$1" -- cat "$secret" >/dev/null 2>&1; }
no_other() { as deepid-edge && ! as nobody && ! as daemon; }
check 'and to no other user' no_other
check 'where no time service is known, it says that the clock is not trusted' logged 'clock is not trusted'
mkdir -p --mode=0755 /run/systemd/timesync && touch /run/systemd/timesync/synchronized
systemctl restart $unit
no_doubt() { ! logged 'clock is not trusted'; }
check "and goes by systemd-timesyncd's mark" no_doubt

signed_by() { journalctl --no-pager --output=cat --unit=$unit _PID="$(value MainPID)" | grep --only-matching 'signed by this key fingerprint=[^ ]*'; }
fingerprint=$(signed_by)
keys=/etc/systemd/system/$unit.d/keys.conf
mkdir -p "${keys%/*}"
printf '[Service]\nLoadCredential=grant.key\n' >"$keys"
mv /var/lib/deepid-edge/grant.key /etc/credstore/
systemctl daemon-reload
systemctl restart $unit
same_key() { [ -n "$fingerprint" ] && [ "$(signed_by)" = "$fingerprint" ] && [ ! -e /var/lib/deepid-edge/grant.key ]; }
check 'a grant key that is a credential signs, and no other is made' same_key
install --owner=deepid-edge --group=deepid-edge --mode=0600 /etc/credstore/grant.key /var/lib/deepid-edge/
rm /etc/credstore/grant.key "$keys"
systemctl daemon-reload
systemctl restart $unit

before=$(value MainPID)
dpkg --install /package.deb >/dev/null
check 'an upgrade starts it again when it ran' test "$before" != "$(value MainPID)" -a "$(systemctl is-active $unit)" = active
systemctl stop $unit
dpkg --install /package.deb >/dev/null
check 'and leaves it alone when it did not' is ActiveState inactive

systemctl start $unit
kill_until_it_stays_down
check 'crashes are answered at once, but not for ever' becomes failed
check 'later it is tried again, and comes back' becomes active

systemctl stop $unit
systemctl reset-failed
printf 'mqtt.hosst = 3\n' >$config
systemctl start $unit 2>/dev/null
check 'a wrong configuration keeps it from starting' becomes failed
check 'the slow retry looks' retried
check 'and does not start what stays wrong' is ActiveState failed

systemctl reset-failed
printf '[models]\nembedder = "of-nobody"\n' >$config
systemctl start $unit 2>/dev/null
check 'a model that is not there ends it at once' is ExecMainStatus 6
check 'the slow retry looks' retried
check 'and leaves it alone' is NRestarts 0

systemctl reset-failed
: >$config
systemctl start $unit
dpkg --remove deepid-edge >/dev/null
check 'removing the package stops it' is ActiveState inactive
echo end
