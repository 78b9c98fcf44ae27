#!/bin/bash
# Our vswitchd on our datapath, for ../shared/bench, whose README says what is asked of this file; its own switches/_ovs.sh, in BENCH,
# starts a database and a vswitchd.  BLOCKED=FILE: gets a line for each run, how many ms vswitchd's event loop was blocked at most.
here=$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")
export TAPSWITCH=${TAPSWITCH:-$here/../../bin/tapswitch}
KIND=veth TSO=false DPTYPE=system
if [ "${STOCK_VSWITCHD:-}" = 1 ]; then
    PRELOAD=$("$TAPSWITCH" preload-path)
else
    vswitchd() { LOOP_PROBE=$RUN/probe NODE_OPTIONS="--import=$here/../loop-probe.mjs" "$TAPSWITCH" vswitchd --datapath=emulated "$@"; }
    VSWITCHD=vswitchd
fi
if [ "$1" = up ]; then
    mkdir -p "$RUN"
    setsid "$TAPSWITCH" datapath --ready-file "$RUN/ready" --log-file "$RUN/datapath.log" >"$RUN/datapath.out" 2>&1 </dev/null &
    echo $! >"$RUN/datapath.pid"
    for ((i = 0; i < 200; i++)); do [ -e "$RUN/ready" ] && break; sleep 0.05; done
fi
if [ "$1" = down ] && [ -n "${BLOCKED:-}" ] && [ -e "$RUN/probe" ]; then
    kill -USR2 "$(cat "$RUN/ovs-vswitchd.pid")" && sleep 1
    tail -1 "$RUN/probe" | cut -d' ' -f1 >>"$BLOCKED"
fi
. "${BENCH:?the folder of the benchmark}/switches/_ovs.sh"
case $1 in
    # What happens while it starts does not count.
    up) if [ -n "${BLOCKED:-}" ] && [ -z "${STOCK_VSWITCHD:-}" ]; then kill -USR2 "$(cat "$RUN/ovs-vswitchd.pid")"; fi ;;
    down)
        pid=$(cat "$RUN/datapath.pid" 2>/dev/null) || exit 0
        kill "$pid" 2>/dev/null
        for ((i = 0; i < 100; i++)); do kill -0 "$pid" 2>/dev/null || exit 0; sleep 0.05; done
        kill -9 "$pid" ;;
    pids) cat "$RUN/datapath.pid" ;;
esac
