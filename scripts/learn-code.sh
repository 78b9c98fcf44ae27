#!/bin/bash
# Runs the program as each kind of process that src/cli/code-cache.ts knows, so that V8 has something to remember of it: the whole switch in a
# network namespace of its own where one can be made, else only what can be had without.  What fails leaves that kind without a memory, which
# costs nothing but time.  Called by scripts/bundle.ts.
# usage: learn-code.sh LEARN PROGRAM: files as scripts/learn-code.ts describes them.
if [ -z "${IN_NAMESPACE:-}" ] && unshare --map-root-user --net true 2>/dev/null; then
    IN_NAMESPACE=1 exec unshare --map-root-user --net "$0" "$@"
fi
learn=$1 program=$2
dir=$(mktemp -d "${TMPDIR:-/tmp}/tapswitch-learn.XXXXXX")
pids=()
finish() {
    kill "${pids[@]}" $(cat "$dir/ovsdb-server.pid" 2>/dev/null) 2>/dev/null
    wait
    rm -rf "$dir"
}
trap finish EXIT
unset NODE_OPTIONS
export OVS_RUNDIR=$dir OVS_LOGDIR=$dir OVS_DBDIR=$dir
# process KIND WORD...: the program as a process of that kind.
process() {
    local kind=$1
    shift
    exec node "$learn" "${program%.cjs}.$kind.cache" "$program" "$@" </dev/null >"$dir/$kind.out" 2>&1
}
# until_true COMMAND...: waits ten seconds at most.
until_true() { for ((i = 0; i < 200; i++)); do "$@" >/dev/null 2>&1 && return; sleep 0.05; done; false; }

(process launcher vswitchd --version)
(process cli down)
if [ -n "${IN_NAMESPACE:-}" ]; then
    process datapath datapath --ready-file="$dir/ready" --unixctl=none & datapath=$!
    pids+=("$datapath")
    until_true test -e "$dir/ready"
fi
# A database without an answer has it loaded, at least.
database=unix:$dir/db.sock control=$dir/vswitchd.ctl
if [ -n "${IN_NAMESPACE:-}" ] && command -v ovsdb-server ovsdb-tool ovs-vsctl ovs-appctl >/dev/null; then
    ovsdb-tool create "$dir/conf.db"
    ovsdb-server "$dir/conf.db" --remote="p$database" --unixctl="$dir/ovsdb.ctl" --pidfile="$dir/ovsdb-server.pid" --detach -vconsole:off
    ovs-vsctl --db="$database" --no-wait init -- add-br br0 -- add-port br0 p1 -- set interface p1 type=internal \
        -- add-port br0 p2 -- set interface p2 type=internal
    ip link add v1 type veth peer name v2 && ip link set v1 up && ip link set v2 up &&
        ovs-vsctl --db="$database" --no-wait add-port br0 v1
fi
process vswitchd vswitchd --datapath=emulated --unixctl="$control" --pidfile="$dir/vswitchd.pid" "$database" & vswitchd=$!
pids+=("$vswitchd")
until_true test -S "$control"
if [ -e "$dir/ovsdb-server.pid" ]; then
    ovs-vsctl --db="$database" --timeout=10 add-port br0 p3 -- set interface p3 type=internal
    ovs-appctl -t "$control" version
    # One after the other and in a bundle, and the answers to who asks for them.
    flow='table=1,priority=100,tcp,nw_src=10.0.0.1,nw_dst=10.1.0.0/16,tp_dst=80,actions=output:2'
    ovs-ofctl add-flow br0 "$flow"
    ovs-ofctl -OOpenFlow14 --bundle add-flow br0 "$flow"
    ovs-ofctl dump-flows br0
    ovs-ofctl -OOpenFlow14 dump-flows br0
    ovs-ofctl del-flows br0 tcp
    (process dpctl dpctl --datapath=emulated show)
fi >/dev/null 2>&1
for pid in "${pids[@]}"; do kill -USR2 "$pid"; done
wait "${pids[@]}"
