#!/bin/sh
# Serves a throw-away PostgreSQL, in a directory of its own, on a free port of 127.0.0.1. It lasts as long as its
# standard input, so that it ends with whoever started it, however that ends.
#
# Prints "ready PORT", or says why not. Commands on standard input, one a line, each answered with "done":
#   immediate   end it without a checkpoint, as `pg_ctl -m immediate` does
#   kill        kill -9 of the server and of all its processes
#   start       start it again
#   freeze      SIGSTOP to all its processes
#   thaw        SIGCONT to them
#   replica     end it in order, and start it as a replica of nobody
#
# The user is "palomar", the password "never-to-be-seen". What is committed survives all commands above; a crash of the
# system it would not survive, which is what makes it fast.
set -u

# It does not run as root.
if [ "$(id -u)" = 0 ] && [ "${1:-}" != again ]; then
    user=nobody
    id postgres >/dev/null 2>&1 && user=postgres
    exec setpriv --reuid "$user" --regid "$(id -g "$user")" --clear-groups -- sh "$0" again
fi

# Debian keeps the server's commands out of the way.
for dir in /usr/lib/postgresql/*/bin; do
    PATH=$PATH:$dir
done
command -v initdb >/dev/null || { echo "PostgreSQL is not installed: apt-get install postgresql"; exit 1; }

unset LANG LC_ALL
# Its own user may not be allowed to write where the tests do.
home=$(mktemp -d "${TMPDIR:-/tmp}/palomar-postgres.XXXXXX" 2>/dev/null) ||
    home=$(mktemp -d /tmp/palomar-postgres.XXXXXX) || exit 1
data=$home/data
trap 'pg_ctl -D "$data" -m immediate -s stop >/dev/null 2>&1; rm -rf "$home"' EXIT
trap 'exit 1' HUP INT TERM

# The language of the database is one that orders texts otherwise than by their bytes.
echo never-to-be-seen >"$home/password"
initdb -D "$data" -U palomar --pwfile "$home/password" --auth scram-sha-256 --no-sync --no-instructions \
    --encoding UTF8 --locale C.UTF-8 --locale-provider icu --icu-locale es >"$home/log" 2>&1 ||
    { cat "$home/log"; exit 1; }
openssl req -new -x509 -days 30 -nodes -subj /CN=localhost -addext subjectAltName=DNS:localhost \
    -out "$data/server.crt" -keyout "$data/server.key" 2>"$home/log" || { cat "$home/log"; exit 1; }
chmod 600 "$data/server.key"

# What it takes to start again after a kill: the last of the old processes may still be going.
start() {
    tries=0
    until pg_ctl -D "$data" -w -s -l "$home/log" -o "-p $port" start >/dev/null 2>&1; do
        tries=$((tries + 1))
        [ "$tries" -lt "$1" ] || return 1
        sleep 0.1
    done
}

cat >>"$data/postgresql.conf" <<CONF
listen_addresses = '127.0.0.1'
unix_socket_directories = '$home'
max_connections = 200
ssl = on
fsync = off
full_page_writes = off
CONF
for try in 1 2 3 4 5 6 7 8 9; do
    port=$(shuf -i 20000-32000 -n 1)
    start 1 && break
    [ "$try" -lt 9 ] || { cat "$home/log"; exit 1; }
done
echo "ready $port $data/server.crt"

processes() {
    server=$(head -n 1 "$data/postmaster.pid" 2>/dev/null) || return
    echo "$server"
    ps -o pid= --ppid "$server"
}

while read -r command; do
    case $command in
        immediate) pg_ctl -D "$data" -m immediate -s stop ;;
        # shellcheck disable=SC2046
        kill) kill -9 $(processes) ;;
        # shellcheck disable=SC2046
        freeze) kill -STOP $(processes) ;;
        # shellcheck disable=SC2046
        thaw) kill -CONT $(processes) ;;
        replica) pg_ctl -D "$data" -m fast -s stop && touch "$data/standby.signal" && start 100 ;;
        start) start 100 || { cat "$home/log"; exit 1; } ;;
        *) echo "unknown: $command" && continue ;;
    esac >/dev/null 2>&1
    echo "done"
done
