#!/bin/bash
# Our vswitchd on our datapath, for ../shared/bench, whose README says what is asked of this file; its own switches/_ovs.sh, in BENCH,
# starts a database and a vswitchd.  BLOCKED=FILE: gets a line for each run, how many ms vswitchd's event loop was blocked
# at most, and in parentheses the most CPU time that its thread took in a turn of it.
# TICKS=FILE: gets a line for each process, the clock ticks that it took between up and down, in user space and in the kernel.
# PROFILE=DIR: what vswitchd and the datapath did between up and down goes to DIR/vswitchd/1.cpuprofile and DIR/datapath/1.cpuprofile.
here=$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")
export TAPSWITCH=${TAPSWITCH:-$here/../../bin/tapswitch}
KIND=veth TSO=false DPTYPE=system
# What looks into the processes (../loop-probe.mjs) is loaded only where somebody wants to know: it takes its time at the start.
probe() { # FOLDER-OF-PROFILE FILE: the environment of a process that is looked into
    export LOOP_PROFILE=${PROFILE:+$PROFILE/$1} LOOP_PROBE=$RUN/$2 NODE_OPTIONS="--import=$here/../loop-probe.mjs"
}
if [ "${STOCK_VSWITCHD:-}" = 1 ]; then
    PRELOAD=$("$TAPSWITCH" preload-path)
else
    vswitchd() (
        if [ -n "${BLOCKED:-}${PROFILE:-}" ]; then probe vswitchd probe; fi
        exec "$TAPSWITCH" vswitchd --datapath=emulated "$@"
    )
    VSWITCHD=vswitchd
fi
# The datapath starts beside the database and vswitchd, as with `tapswitch up`; stock's vswitchd does not wait for it.
if [ "$1" = up ]; then
    mkdir -p "$RUN"
    (
        if [ -n "${PROFILE:-}" ]; then probe datapath datapath.probe; fi
        exec "$TAPSWITCH" datapath --detach --pidfile="$RUN/datapath.pid" --log-file="$RUN/datapath.log" >"$RUN/datapath.out" 2>&1 </dev/null
    ) & datapath=$!
    if [ "${STOCK_VSWITCHD:-}" = 1 ]; then wait "$datapath"; fi
fi
# The profile since the signal before is written at each signal.
signal_datapath() { [ -z "${PROFILE:-}" ] || kill -USR2 "$(cat "$RUN/datapath.pid")"; }
# ticks PROCESS: of its process id file.
ticks() { sed 's/.*) //' "/proc/$(cat "$RUN/$1.pid")/stat" | awk '{ print $12, $13 }'; }
if [ "$1" = down ]; then
    signal_datapath
    if [ -n "${TICKS:-}" ]; then
        for process in ovs-vswitchd datapath; do
            echo "${STOCK_VSWITCHD:+stock }$process $(ticks $process) $(cat "$RUN/$process.ticks")" |
                awk '{ print $(NF-4), $(NF-3) - $(NF-1), $(NF-2) - $NF, (NF > 5 ? "stock" : "ours") }' >>"$TICKS"
        done
    fi
fi
if [ "$1" = down ] && [ -n "${BLOCKED:-}" ] && [ -e "$RUN/probe" ]; then
    kill -USR2 "$(cat "$RUN/ovs-vswitchd.pid")" && sleep 1
    tail -1 "$RUN/probe" | awk '{ print $1 " (" $4 ")" }' >>"$BLOCKED"
fi
. "${BENCH:?the folder of the benchmark}/switches/_ovs.sh"
case $1 in
    # What happens while it starts does not count.
    up)
        wait "$datapath"
        signal_datapath
        if [ -n "${TICKS:-}" ]; then for process in ovs-vswitchd datapath; do ticks $process >"$RUN/$process.ticks"; done; fi
        if [ -n "${BLOCKED:-}" ] && [ -z "${STOCK_VSWITCHD:-}" ]; then kill -USR2 "$(cat "$RUN/ovs-vswitchd.pid")"; fi
        ;;
    down)
        pid=$(cat "$RUN/datapath.pid" 2>/dev/null) || exit 0
        kill "$pid" 2>/dev/null
        for ((i = 0; i < 100; i++)); do kill -0 "$pid" 2>/dev/null || exit 0; sleep 0.05; done
        kill -9 "$pid" ;;
    pids) cat "$RUN/datapath.pid" ;;
esac
