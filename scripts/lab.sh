# Sourced by demo, bench-tcp and kmod-lab: a lab of network namespaces, and two tools that look at the same switch.
#
# The caller sets LAB, a prefix for the namespaces' names, and WORK, a folder.  The switch runs in $LAB-switch; its rundir, log
# and database directory are WORK.  Nothing here needs clean-up but what `lab_remove` removes.

root=$(dirname "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")")
tapswitch=$root/bin/tapswitch
SWITCH=$LAB-switch HOST_A=$LAB-a HOST_B=$LAB-b
export OVS_RUNDIR=$WORK OVS_LOGDIR=$WORK OVS_DBDIR=$WORK
# Our dpctl is to begin its messages as the stock one does.
export TAPSWITCH_DPCTL_NAME=ovs-dpctl

# within NAMESPACE COMMAND...: plain `ip netns exec` would also hide /sys/fs/bpf.
within() { local ns=$1; shift; nsenter --net="/run/netns/$ns" -- "$@"; }
lab_exists() { [ -e "/run/netns/$1" ]; }

# Ends the switch, everything else that runs in the lab's namespaces, and the namespaces.
lab_remove() {
    local ns pid
    if lab_exists "$SWITCH" && [ -x "$tapswitch" ]; then within "$SWITCH" "$tapswitch" down >/dev/null 2>&1 || true; fi
    for ns in "$HOST_A" "$HOST_B" "$SWITCH"; do
        lab_exists "$ns" || continue
        # The processes in a namespace of the lab are the lab's.
        for pid in $(ip netns pids "$ns"); do kill -9 "$pid" 2>/dev/null || true; done
        ip netns del "$ns"
    done
}

# lab_namespace NAME: a namespace without chatter of its own, which would come between two dumps that are compared.
lab_namespace() {
    ip netns add "$1"
    within "$1" sysctl -qw net.ipv6.conf.default.router_solicitations=0 net.ipv6.conf.default.accept_dad=0
    ip -n "$1" link set lo up
}

# lab_host NAMESPACE PORT ADDRESS...: a namespace whose eth0 is a veth to device PORT in the switch's.
lab_host() {
    local ns=$1 port=$2 address
    shift 2
    lab_namespace "$ns"
    ip -n "$ns" link add eth0 type veth peer name "$port" netns "$SWITCH"
    for address in "$@"; do
        case $address in
            *:*) ip -n "$ns" addr add "$address" dev eth0 nodad ;;
            *) ip -n "$ns" addr add "$address" dev eth0 ;;
        esac
    done
    ip -n "$ns" link set eth0 up
    ip -n "$SWITCH" link set "$port" up
}

# same_text STOCK DPCTL-ARGUMENT...: runs STOCK ("ovs-dpctl", or what it takes to run it) and our dpctl, and tells whether they
# print the same; the texts stay in $WORK/SUBCOMMAND.stock and .ours.  A packet or an expiry between the two runs is no
# difference between the tools: so the stock tool runs before ours and after it, and if ours agrees with neither, all is done again.
same_text() {
    local stock=$1 name=$2 f try
    shift
    for try in 1 2 3 4 5 6 7 8; do
        # shellcheck disable=SC2086 # STOCK may be several words.
        within "$SWITCH" $stock "$@" >"$WORK/$name.stock" 2>&1 || true
        within "$SWITCH" "$tapswitch" dpctl "$@" >"$WORK/$name.ours" 2>&1 || true
        # shellcheck disable=SC2086
        within "$SWITCH" $stock "$@" >"$WORK/$name.again" 2>&1 || true
        # The order of flows says nothing, and the time since use goes on.
        for f in stock ours again; do sed -E 's/used:[0-9.]+s/used:TIME/' "$WORK/$name.$f" | sort >"$WORK/$name.$f.plain"; done
        if cmp -s "$WORK/$name.again.plain" "$WORK/$name.ours.plain"; then
            cp "$WORK/$name.again" "$WORK/$name.stock"
            cp "$WORK/$name.again.plain" "$WORK/$name.stock.plain"
        fi
        if cmp -s "$WORK/$name.stock.plain" "$WORK/$name.ours.plain"; then return 0; fi
    done
    return 1
}
