#!/bin/bash
# The datapath process alone as a switch of two ports, for ../shared/bench (its README says what is asked of this file):
#
#     SWITCHES_DIR=$PWD/bench/switches ../shared/bench/fig-b-udp.sh bridge ovs-tso tapswitch
#
# Permanent flows from one port to the other, so that the figures are those of packets that match an established flow.
# KIND = veth | tap.  TAPSWITCH: the program, when it is not that of this checkout.  DPCTL: what adds the flows.
KIND=${KIND:-veth}
TAPSWITCH=${TAPSWITCH:-$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/../../bin/tapswitch}
end() {
    local pid i
    pid=$(cat "$RUN/datapath.pid" 2>/dev/null) || return 0
    kill "$pid" 2>/dev/null
    for ((i = 0; i < 100; i++)); do kill -0 "$pid" 2>/dev/null || return 0; sleep 0.05; done
    kill -9 "$pid"
}
case $1 in
    kind) echo "$KIND" ;;
    up)
        set -e
        mkdir -p "$RUN"
        setsid "$TAPSWITCH" datapath --ready-file "$RUN/ready" --log-file="$RUN/datapath.log" >"$RUN/out" 2>&1 </dev/null &
        echo $! >"$RUN/datapath.pid"
        for ((i = 0; i < 200; i++)); do [ -e "$RUN/ready" ] && break; sleep 0.05; done
        dpctl() { "$TAPSWITCH" dpctl "$@"; }
        options=$([ "$KIND" = tap ] && echo ',type=internal' || true)
        dpctl add-dp pfdp
        dpctl add-if pfdp "$2,port_no=1$options"
        dpctl add-if pfdp "$3,port_no=2$options"
        for match in 'eth_type(0x0800),ipv4()' 'eth_type(0x0806),arp()'; do
            dpctl add-flow pfdp "in_port(1),eth(),$match" 2
            dpctl add-flow pfdp "in_port(2),eth(),$match" 1
        done ;;
    down) end ;;
    pids) cat "$RUN/datapath.pid" ;;
    has) false ;;
esac
